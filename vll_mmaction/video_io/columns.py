"""Columns of a million rows: ragged ones, text, and files that map them.

A Python object a row would take ten times the memory, and each process that
counts references to it would make a copy of its own. Columns are arrays; on
disk each is a plain NumPy file, which processes of a machine share when they
map it.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Any, Union

import numpy as np

# Rows at once where an index of every value would take more than the values.
CHUNK = 65536


class Ragged:
    """Rows of different lengths: slices of one array.

    Args:
        values (np.ndarray): (n, ...) of any dtype.
        starts (np.ndarray): (rows,) int64, where each row begins.
        ends (np.ndarray): (rows,) int64, where it ends.
    """

    def __init__(
        self, values: np.ndarray, starts: np.ndarray, ends: np.ndarray
    ) -> None:
        self.values, self.starts, self.ends = values, starts, ends

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.ends)

    def row(self, number: int) -> np.ndarray:
        """The values of a row."""
        return self.values[self.starts[number] : self.ends[number]]

    def take(self, rows: np.ndarray) -> Any:
        """Some of the rows, of the same class, with no other values.

        Args:
            rows (np.ndarray): (n,) int64.
        """
        starts = np.asarray(self.starts)[rows]
        lengths = np.asarray(self.ends)[rows] - starts
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        values = np.empty((total, *self.values.shape[1:]), self.values.dtype)
        for first in range(0, len(rows), CHUNK):
            part = slice(first, first + CHUNK)
            begin = int(ends[first] - lengths[first])
            shift = starts[part] - (ends[part] - lengths[part] - begin)
            source = np.repeat(shift, lengths[part])
            source += np.arange(len(source))
            values[begin : begin + len(source)] = self.values[source]
        return type(self)(values, ends - lengths, ends)

    @classmethod
    def concatenate(cls, parts: Iterable['Ragged']) -> Any:
        """The rows of several, in order."""
        parts = list(parts)
        shifts = np.cumsum([0] + [len(part.values) for part in parts])
        return cls(
            np.concatenate([part.values for part in parts]),
            np.concatenate([p.starts + s for p, s in zip(parts, shifts)]),
            np.concatenate([p.ends + s for p, s in zip(parts, shifts)]),
        )


class TextColumn(Ragged):
    """Strings, as bytes of UTF-8 one behind the other.

    Bytes of file names that are no UTF-8 come and go as Python has them in
    strings (``surrogateescape``).
    """

    @classmethod
    def of(cls, texts: Iterable[str]) -> 'TextColumn':
        """The column of some strings."""
        encoded = [t.encode('utf-8', 'surrogateescape') for t in texts]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(ends)]
        return cls(np.frombuffer(b''.join(encoded), np.uint8), starts, ends)

    def __getitem__(self, number: int) -> str:
        """A string."""
        return self.row(number).tobytes().decode('utf-8', 'surrogateescape')

    def __iter__(self) -> Iterator[str]:
        for text in self.encoded():
            yield text.decode('utf-8', 'surrogateescape')

    def encoded(self) -> Iterator[bytes]:
        """The strings as bytes."""
        for first in range(0, len(self), CHUNK):
            part = slice(first, first + CHUNK)
            starts, ends = self.starts[part], self.ends[part]
            # Slices of bytes are made faster than those of anything else.
            low = starts.min()
            text = self.values[low : ends.max()].tobytes()
            places = map(slice, (starts - low).tolist(), (ends - low).tolist())
            yield from map(text.__getitem__, places)

    def bytes_at(self, last: bool = False) -> np.ndarray:
        """First or last byte of each string; (rows,) uint8, 0 of empty ones.

        Args:
            last (bool): Whether the last. Defaults to False.
        """
        places = np.asarray(self.ends) - 1 if last else np.asarray(self.starts)
        full = np.flatnonzero(np.asarray(self.ends) > np.asarray(self.starts))
        found = np.zeros(len(self), np.uint8)
        found[full] = self.values[places[full]]
        return found

    def contains(self, text: bytes) -> bool:
        """Whether a piece of text is somewhere in the values."""
        step = 2**24
        return any(
            text in self.values[first : first + step + len(text)].tobytes()
            for first in range(0, len(self.values), step)
        )

    def hashes(self, seed: int = 0) -> np.ndarray:
        """A hash of each string, the same in every process and on disk.

        Args:
            seed (int): Chooses one of many hashes. Defaults to 0.

        Returns:
            np.ndarray: (rows,) uint64.
        """
        rows = np.arange(len(self))
        lengths = np.asarray(self.ends) - np.asarray(self.starts)
        hashes = (lengths + seed).astype(np.uint64) * _ODD
        offset = 0
        while len(rows):
            rows = rows[lengths[rows] > offset]
            mixed = (hashes[rows] ^ self._words(rows, offset)) * _ODD
            hashes[rows] = mixed ^ (mixed >> np.uint64(32))
            offset += 8
        return hashes

    def equal(
        self, rows: np.ndarray, other: 'TextColumn', others: np.ndarray
    ) -> np.ndarray:
        """Whether strings are those of another column.

        Args:
            rows (np.ndarray): (n,) int64, rows of this column.
            other (TextColumn): The other one.
            others (np.ndarray): (n,) int64, rows of that.

        Returns:
            np.ndarray: (n,) bool.
        """
        lengths = self.ends[rows] - self.starts[rows]
        equal = lengths == other.ends[others] - other.starts[others]
        left = np.flatnonzero(equal)
        offset = 0
        while len(left):
            left = left[lengths[left] > offset]
            same = self._words(rows[left], offset) == other._words(
                others[left], offset
            )
            equal[left[~same]] = False
            left = left[same]
            offset += 8
        return equal

    def _words(self, rows: np.ndarray, offset: int) -> np.ndarray:
        """Up to eight bytes of each row from an offset below its length."""
        values = np.ascontiguousarray(self.values)
        if len(values) < 8:
            values = np.concatenate([values, np.zeros(8, np.uint8)])
        # Every eight bytes that follow one another, as a number.
        words: np.ndarray = np.ndarray(
            (len(values) - 7,), '<u8', buffer=values, strides=(1,)
        )
        at = self.starts[rows] + offset
        left = self.ends[rows] - at
        if left.min(initial=8) >= 8:
            return words[at]
        place = np.minimum(at, len(words) - 1)
        found = words[place] >> (8 * (at - place)).astype(np.uint64)
        missing = np.maximum(8 - left, 0).astype(np.uint64)
        return found & (_ALL >> (np.uint64(8) * missing))


_ODD = np.uint64(0x9E3779B97F4A7C15)
_ALL = np.uint64(2**64 - 1)

Column = Union[np.ndarray, Ragged]


def save_columns(folder: str, columns: dict[str, Column]) -> None:
    """Write columns into a folder, which is made, a file an array.

    Args:
        folder (str): The folder.
        columns (dict[str, Column]): Columns by name.
    """
    os.makedirs(folder)
    for name, column in columns.items():
        arrays: dict[str, Any] = {name: column}
        if isinstance(column, Ragged):
            arrays = {
                f'{name}.{part}': getattr(column, part) for part in PARTS
            }
        for file, array in arrays.items():
            np.save(os.path.join(folder, f'{file}.npy'), array)


PARTS = ('values', 'starts', 'ends')


def map_columns(folder: str, kinds: dict[str, type]) -> dict[str, Any]:
    """Map the columns of a folder into memory, read-only.

    Args:
        folder (str): Written by :func:`save_columns`.
        kinds (dict[str, type]): Class of each column, by name.

    Returns:
        dict[str, Column]: Columns by name.
    """
    columns: dict[str, Any] = {}
    for name, kind in kinds.items():
        if issubclass(kind, Ragged):
            arrays = [_map(folder, f'{name}.{part}') for part in PARTS]
            columns[name] = kind(*arrays)
        else:
            columns[name] = _map(folder, name)
    return columns


def _map(folder: str, name: str) -> np.ndarray:
    path = os.path.join(folder, f'{name}.npy')
    try:
        array = np.load(path, mmap_mode='r')
    except ValueError:  # what is empty cannot be mapped
        array = np.load(path)
    # Plain: slices of a memmap are slow to make.
    return array.view(np.ndarray)

"""Rows of the frame index, as columns that are looked up by path."""

import json
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple, Optional

import numpy as np

from .columns import Ragged, TextColumn, map_columns, save_columns
from .video_facts import KeyPacket, VideoFacts

# How a row came about: taken over from a text index, from packets, by
# decoding, or by a transform that reads from other storage.
TEXT, PACKETS, DECODE, TRANSFORM = range(4)
KINDS = dict(
    hashes=np.ndarray,
    names=TextColumn,
    size=np.ndarray,
    mtime=np.ndarray,
    when=np.ndarray,
    by=np.ndarray,
    frames=np.ndarray,
    width=np.ndarray,
    height=np.ndarray,
    pixel_format=TextColumn,
    reason=TextColumn,
    decord=TextColumn,
    keys=Ragged,
)
NUMBERS = ('size', 'mtime', 'when', 'by', 'frames', 'width', 'height')
# Rows at once, since each takes many times its size while it is looked at.
CHUNK = 50_000


class IndexRow(NamedTuple):
    """One video in the index.

    Args:
        name (str): Its path, relative to the folder of the videos.
        size (int): Bytes of the file when it was counted, -1 if it could not
            be read.
        mtime (int): Its modification time in ns, likewise.
        when (int): When it was counted, in ns since 1970. Of two rows of a
            video the later holds.
        by (int): ``TEXT``, ``PACKETS``, ``DECODE`` or ``TRANSFORM``.
        facts (VideoFacts): What was found.
    """

    name: str
    size: int
    mtime: int
    when: int
    by: int
    facts: VideoFacts

    def to_line(self) -> bytes:
        """The row as a line: a checksum, and JSON without a line end."""
        facts = self.facts
        keys = [number for key in facts.keys for number in key]
        text = (facts.pixel_format, facts.reason, facts.decord)
        numbers = (facts.frames, facts.width, facts.height)
        row = json.dumps([*self[:5], *numbers, *text, keys]).encode()
        return b'%08x %s\n' % (zlib.crc32(row), row)

    @classmethod
    def from_line(cls, line: bytes) -> Optional['IndexRow']:
        """The row of a line; None if the line is not whole."""
        row = line[9:-1]
        if line[:9] != b'%08x ' % zlib.crc32(row) or line[-1:] != b'\n':
            return None
        *head, frames, width, height, pixel_format, reason, decord, keys = (
            json.loads(row)
        )
        facts = VideoFacts(
            *(frames, width, height, pixel_format),
            *(_packets(keys), reason, decord),
        )
        return cls(*head, facts)


def _packets(numbers: list[int]) -> tuple[KeyPacket, ...]:
    return tuple(map(KeyPacket, numbers[::3], numbers[1::3], numbers[2::3]))


class IndexColumns:
    """Rows of different videos, ordered by the hash of their name.

    Args:
        columns (dict[str, Any]): By the names of ``KINDS``; ``keys`` are
            (n, 3) int64.
    """

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns

    def __getattr__(self, name: str) -> Any:
        if name in KINDS:
            return self.columns[name]
        raise AttributeError(name)

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.columns['hashes'])

    @classmethod
    def of(cls, rows: Iterable[IndexRow]) -> 'IndexColumns':
        """Columns of some rows; of several of a video the latest."""
        rows = iter(rows)
        parts = []
        while part := [row for _, row in zip(range(CHUNK), rows)]:
            parts.append(cls(_columns(part)))
        return cls.merge(parts or [cls(_columns([]))])

    @classmethod
    def map(cls, folder: str) -> 'IndexColumns':
        """Map rows that :meth:`save` wrote."""
        return cls(map_columns(folder, KINDS))

    def save(self, folder: str) -> None:
        """Write the rows into a folder, which is made."""
        save_columns(folder, self.columns)

    @classmethod
    def merge(cls, parts: Iterable['IndexColumns']) -> 'IndexColumns':
        """All rows of some; of several of a video the latest."""
        parts = list(parts)
        joined: dict[str, Any] = {}
        for name, kind in KINDS.items():
            pieces = [part.columns[name] for part in parts]
            if issubclass(kind, Ragged):
                joined[name] = kind.concatenate(pieces)
            else:
                joined[name] = np.concatenate(pieces)
        names, hashes = joined['names'], joined['hashes']
        # A second hash keeps rows of a video together where two collide.
        order = np.lexsort((joined['when'], names.hashes(1), hashes))
        ahead, behind = order[:-1], order[1:]
        twice = np.flatnonzero(hashes[ahead] == hashes[behind])
        again = names.equal(ahead[twice], names, behind[twice])
        order = np.delete(order, twice[again])
        return cls(
            {
                name: column.take(order)
                if isinstance(column, Ragged)
                else column[order]
                for name, column in joined.items()
            }
        )

    def find(self, names: TextColumn) -> np.ndarray:
        """Rows of videos.

        Args:
            names (TextColumn): Their names.

        Returns:
            np.ndarray: (len(names),) int64, -1 where there is none.
        """
        found = np.full(len(names), -1, dtype=np.int64)
        if len(self):
            for first in range(0, len(names), CHUNK):
                part = slice(first, first + CHUNK)
                found[part] = self._find(
                    TextColumn(
                        names.values, names.starts[part], names.ends[part]
                    )
                )
        return found

    def _find(self, names: TextColumn) -> np.ndarray:
        hashes = names.hashes()
        order = np.argsort(hashes)
        place = np.empty(len(order), dtype=np.int64)
        # In order, since a search at random places is several times slower.
        place[order] = np.searchsorted(self.hashes, hashes[order])
        found = np.full(len(names), -1, dtype=np.int64)
        left = np.arange(len(names))
        while len(left):
            left = left[place[left] < len(self)]
            left = left[self.hashes[place[left]] == hashes[left]]
            same = names.equal(left, self.names, place[left])
            found[left[same]] = place[left[same]]
            # Another name with that hash.
            left = left[~same]
            place[left] += 1
        return found

    def row(self, number: int) -> IndexRow:
        """One row."""
        size, mtime, when, by, frames, width, height = (
            int(self.columns[name][number]) for name in NUMBERS
        )
        facts = VideoFacts(
            *(frames, width, height, self.pixel_format[number]),
            _packets(self.keys.row(number).ravel().tolist()),
            *(self.reason[number], self.decord[number]),
        )
        return IndexRow(self.names[number], size, mtime, when, by, facts)


class FoundRows:
    """The rows of some videos, from the base or added later.

    Args:
        base (IndexColumns): The base.
        added (IndexColumns): Rows added later.
        names (TextColumn): Names of the videos.
    """

    def __init__(
        self, base: IndexColumns, added: IndexColumns, names: TextColumn
    ) -> None:
        in_base, in_added = base.find(names), added.find(names)
        both = np.flatnonzero((in_base >= 0) & (in_added >= 0))
        older = added.when[in_added[both]] < base.when[in_base[both]]
        in_added[both[older]] = -1
        in_base[in_added >= 0] = -1
        self._parts = ((base, in_base), (added, in_added))
        self.known = (in_base >= 0) | (in_added >= 0)
        """np.ndarray: (n,) bool, whether there is a row."""

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers, such as ``'frames'``.

        Args:
            name (str): Its name.

        Returns:
            np.ndarray: (n,) int64, 0 where there is no row.
        """
        found = np.zeros(len(self.known), dtype=np.int64)
        for columns, rows in self._parts:
            there = np.flatnonzero(rows >= 0)
            found[there] = columns.columns[name][rows[there]]
        return found

    def ragged(self, name: str) -> Ragged:
        """A column of several values a row, such as ``'keys'``.

        Args:
            name (str): Its name.

        Returns:
            Ragged: Of the column's class; empty rows where there is none.
        """
        values: list[np.ndarray] = []
        starts, ends = np.zeros((2, len(self.known)), np.int64)
        shift = 0
        for columns, rows in self._parts:
            there = np.flatnonzero(rows >= 0)
            part = columns.columns[name].take(rows[there])
            starts[there], ends[there] = part.starts + shift, part.ends + shift
            shift += len(part.values)
            values.append(part.values)
        return KINDS[name](np.concatenate(values), starts, ends)

    def row(self, number: int) -> IndexRow:
        """The row of a video.

        Args:
            number (int): Number of the video.

        Returns:
            IndexRow: Its row.

        Raises:
            KeyError: There is none.
        """
        for columns, rows in self._parts:
            if rows[number] >= 0:
                return columns.row(int(rows[number]))
        raise KeyError(number)


def _columns(rows: list[IndexRow]) -> dict[str, Any]:
    """Columns of rows, in their order."""
    names = TextColumn.of(row.name for row in rows)
    facts = [row.facts for row in rows]
    table = np.array(
        [
            [*row[1:5], row.facts.frames, row.facts.width, row.facts.height]
            for row in rows
        ],
        dtype=np.int64,
    ).reshape(-1, len(NUMBERS))
    columns: dict[str, Any] = dict(zip(NUMBERS, table.T.copy()))
    columns.update(hashes=names.hashes(), names=names)
    for name in ('pixel_format', 'reason', 'decord'):
        columns[name] = TextColumn.of(getattr(one, name) for one in facts)
    ends = np.cumsum([len(one.keys) for one in facts], dtype=np.int64)
    keys = [key for one in facts for key in one.keys]
    columns['keys'] = Ragged(
        np.array(keys, dtype=np.int64).reshape(-1, 3),
        np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(ends)],
        ends,
    )
    return columns

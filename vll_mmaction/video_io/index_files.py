"""Writes and recognises the single files of a frame index."""

import os
import os.path as osp
import re
import secrets
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, Optional

from .index_rows import IndexRow

FORMAT = 'vll_mmaction frame index'
# Endings of a file of rows: of a process that counts, of one that has ended.
OPEN, DONE = '.rows', '.rows.done'
SYNC_EVERY = 5


class RowWriter:
    """Appends rows to a file of its own, each of them whole or not at all.

    Args:
        folder (str): The index.
    """

    def __init__(self, folder: str) -> None:
        self._path = osp.join(folder, f'{unique_name()}{OPEN}')
        self._file: Optional[BinaryIO] = None
        self._length = 0
        self._synced = 0.0

    def append(self, row: IndexRow) -> None:
        """Append a row.

        Args:
            row (IndexRow): The row.

        Raises:
            OSError: The disk is full, or so; rows before stay.
        """
        if self._file is None:
            self._file = open(self._path, 'ab', buffering=0)
        line = row.to_line()
        try:
            written = self._file.write(line)
            if written != len(line):
                raise OSError(f'{self._path}: the disk is full')
        except OSError:
            with suppress(OSError):
                self._file.truncate(self._length)
            raise
        self._length += len(line)
        if time.monotonic() - self._synced > SYNC_EVERY:
            # So that other machines see it.
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def close(self) -> None:
        """End the file, which then may become part of a base."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            os.replace(self._path, f'{self._path[: -len(OPEN)]}{DONE}')

    def __enter__(self) -> 'RowWriter':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_whole(path: str, lines: Sequence[str]) -> None:
    """Write a text file whole or not at all; several machines may do so.

    Args:
        path (str): The file.
        lines (Sequence[str]): Without line ends.
    """
    temporary = f'{path}.{unique_name()}.tmp'
    try:
        with open(
            temporary, 'w', encoding='utf-8', errors='backslashreplace'
        ) as file:
            file.writelines(f'{line}\n' for line in lines)
        os.replace(temporary, path)
    finally:
        if osp.exists(temporary):
            os.remove(temporary)


def unique_name() -> str:
    """A name that no other process on any machine takes."""
    host = re.sub(r'[^\w-]', '_', socket.gethostname())
    return f'{host}-{os.getpid()}-{secrets.token_hex(4)}'


def check_header(header: object, version: int) -> None:
    """Raise ValueError unless a header is an index's, of that version."""
    if not isinstance(header, dict) or header.get('format') != FORMAT:
        raise ValueError('it does not say that it is one')
    if header.get('version') != version:
        raise ValueError(
            f'it is of version {header.get("version")}, this is version '
            f'{version}'
        )


def no_index(path: str, error: Exception) -> ValueError:
    """What to raise for a file or folder that is no index."""
    return ValueError(
        f'{path} is not a frame index ({error}). Name another path in '
        '`frame_index`, or delete this one if it was an index: it is then '
        'made anew.'
    )

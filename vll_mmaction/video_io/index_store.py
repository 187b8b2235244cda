"""The files of a frame index: a folder that many processes write at once.

::

    frame_index/
        frame_index.json            what this folder is
        base.3/*.npy                columns, written whole, then renamed
        HOST-PID-RANDOM.rows        rows of a process that counts
        HOST-PID-RANDOM.rows.done   rows of one that has ended

A process appends to a file of its own, a line a row with a checksum: no locks
are needed, on network disks neither, and a process that is killed leaves at
most half a line, which nobody reads. Readers merge all files; now and then one
makes a new base of them. An index of earlier versions, a text file
``frame_index.jsonl`` beside the folder, is read as well.
"""

import functools
import json
import logging
import os
import os.path as osp
import re
import shutil
import time
from contextlib import suppress

from av import library_versions
from mmengine.logging import print_log

from .columns import TextColumn
from .index_files import (
    DONE,
    FORMAT,
    OPEN,
    RowWriter,
    check_header,
    no_index,
    unique_name,
    write_whole,
)
from .index_rows import FoundRows, IndexColumns, IndexRow
from .text_index import read_text_index, stamp_of_text

VERSION = 2
ABOUT = 'frame_index.json'
TEXT_INDEX = 'text_index.json'
DECODER = library_versions['libavcodec'][0]
# Rows and files beside the base from which on a new one is made.
MANY_ROWS, MANY_FILES = 1000, 16
# A file of rows without its end is of a process that was killed, if nobody
# has written to it for so long.
DEAD_AFTER = 24 * 3600
# Until then another job may have a base mapped that was replaced; on network
# disks it would end where its files are deleted.
KEEP_BASE = 30 * 24 * 3600


class IndexStore:
    """Reads and merges the files of an index; makes a new base of them.

    Args:
        folder (str): The index. Read if it exists.

    Raises:
        ValueError: ``folder`` is something else than a frame index.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._check()
        self._base_number = -1
        self.base = self.added = IndexColumns.of(())
        self._read: dict[str, int] = {}
        self.refresh()
        self._take_over_text()

    def _check(self) -> None:
        """Refuse a folder or a file that is no index."""
        if not osp.exists(self.folder):
            return
        about = osp.join(self.folder, ABOUT)
        try:
            with open(about, encoding='utf-8') as file:
                header = json.load(file)
            check_header(header, VERSION)
            _check_decoder(self.folder, header.get('libavcodec', DECODER))
        except FileNotFoundError:
            files = os.listdir(self.folder)
            bases = [osp.join(self.folder, file, TEXT_INDEX) for file in files]
            # Once a base could be all there was.
            if files and not any(map(osp.exists, bases)):
                raise ValueError(
                    f'{self.folder} is not a frame index, but a folder with '
                    'other files. Name another in `frame_index`.'
                ) from None
        except NotADirectoryError:
            raise ValueError(
                f'{self.folder} is not a frame index, which is a folder now, '
                'but a file. Name another path in `frame_index`; if this is '
                'an index of an earlier version, rename it to '
                f'{self.folder}.jsonl to have it taken over.'
            ) from None
        except ValueError as error:
            raise no_index(self.folder, error) from None

    def refresh(self) -> TextColumn:
        """Read what was added since.

        Returns:
            TextColumn: Names of the videos of which there are new rows.
        """
        for _ in range(100):
            try:
                return self._refresh()
            except FileNotFoundError:
                time.sleep(0.05)  # somebody makes a new base
        return self._refresh()

    def _refresh(self) -> TextColumn:
        files = os.listdir(self.folder) if osp.isdir(self.folder) else []
        number = max(_base_numbers(files), default=-1)
        base, parts, read = self.base, [self.added], dict(self._read)
        if number > self._base_number:
            base = IndexColumns.map(osp.join(self.folder, f'base.{number}'))
            parts, read = [], {}
        new = []
        for name, path in self._row_files(files):
            with open(path, 'rb') as file:
                file.seek(read.get(name, 0))
                whole, end, _ = file.read().rpartition(b'\n')
            lines = (whole + end).splitlines(keepends=True)
            read[name] = read.get(name, 0) + len(whole + end)
            new.append(
                IndexColumns.of(filter(None, map(IndexRow.from_line, lines)))
            )
        if parts != [self.added] or any(map(len, new)):
            merged = IndexColumns.merge([_NONE, *parts, *new])
            self.base, self.added = base, merged
        self._base_number, self._read = number, read
        return TextColumn.concatenate(part.names for part in [*new, _NONE])

    def _row_files(self, files: list[str]) -> list[tuple[str, str]]:
        """Names without their ending and paths of the files of rows."""
        return [
            (file.split(OPEN)[0], osp.join(self.folder, file))
            for file in sorted(files)
            if file.endswith((OPEN, DONE))
        ]

    def _take_over_text(self) -> None:
        """Read the text index beside, unless the base holds its rows."""
        path = f'{self.folder}.jsonl'
        if not osp.exists(path):
            return
        about = osp.join(self.folder, f'base.{self._base_number}', TEXT_INDEX)
        if osp.exists(about):
            with open(about, encoding='utf-8') as file:
                if json.load(file) == stamp_of_text(path):
                    return
        rows = IndexColumns.of(read_text_index(path))
        self.added = IndexColumns.merge([self.added, rows])

    def writer(self) -> RowWriter:
        """What appends rows, in a file of its own."""
        self._begin()
        return RowWriter(self.folder)

    def _begin(self) -> None:
        """Make the folder, which says what it is before it holds anything."""
        os.makedirs(self.folder, exist_ok=True)
        about = osp.join(self.folder, ABOUT)
        if not osp.exists(about):
            header = dict(format=FORMAT, version=VERSION, libavcodec=DECODER)
            write_whole(about, [json.dumps(header)])

    def __len__(self) -> int:
        """Number of rows; videos in the base that were counted again twice."""
        return len(self.base) + len(self.added)

    def find(self, names: TextColumn) -> FoundRows:
        """The latest rows of videos.

        Args:
            names (TextColumn): Their names.

        Returns:
            FoundRows: Their rows.
        """
        return FoundRows(self.base, self.added, names)

    def compact(self) -> None:
        """Make a new base of all rows, if there are many beside it."""
        files = os.listdir(self.folder) if osp.isdir(self.folder) else []
        rows = self._row_files(files)
        if len(self.added) < MANY_ROWS and len(rows) < MANY_FILES:
            return
        # Where a text index holds all rows, nobody has written one here.
        self._begin()
        # Their ends may have been written since they were read.
        whole = [
            path
            for name, path in rows
            if path.endswith(DONE) or _age(path) > DEAD_AFTER
        ]
        self.refresh()
        number = self._base_number + 1
        folder = osp.join(self.folder, f'base.{number}')
        temporary = f'{folder}.{unique_name()}.tmp'
        try:
            merged = IndexColumns.merge([self.base, self.added])
            merged.save(temporary)
            text = f'{self.folder}.jsonl'
            stamp = stamp_of_text(text) if osp.exists(text) else None
            write_whole(osp.join(temporary, TEXT_INDEX), [json.dumps(stamp)])
            try:
                os.rename(temporary, folder)
            except OSError:
                if osp.isdir(folder):
                    return  # another was faster
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for path in whole:
            with suppress(OSError):
                os.remove(path)
        for file in files:
            path = osp.join(self.folder, file)
            if file.startswith('base.') and _age(path) > KEEP_BASE:
                shutil.rmtree(path, ignore_errors=True)
        self.refresh()


_NONE = IndexColumns.of(())


def _base_numbers(files: list[str]) -> list[int]:
    return [int(f[5:]) for f in files if re.fullmatch(r'base\.\d+', f)]


def _age(path: str) -> float:
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return 0.0


@functools.cache  # say it once
def _check_decoder(folder: str, counted_by: int) -> None:
    if counted_by != DECODER:
        print_log(
            f'The frames in {folder} were counted by libavcodec {counted_by}, '
            f'but are read by {DECODER}. Few files, if any, have other frames '
            'in it. To count them anew, delete that folder; '
            'tools/data/count_frames.py then counts before a training does.',
            'current',
            level=logging.WARNING,
        )

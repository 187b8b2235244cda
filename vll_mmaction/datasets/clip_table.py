"""Which videos and clips a data set has: columns, shared by all processes.

Clip indices run video by video. A table of many videos is kept in files that
all processes of a machine map; what a process hands to its workers is their
place.
"""

import os
import os.path as osp
import secrets
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Optional, Union

import numpy as np

from ..video_io.columns import (
    PARTS,
    Ragged,
    TextColumn,
    map_columns,
    save_columns,
)
from ..video_io.frame_index import cache_folder
from ..video_io.video_facts import KeyPacket
from .annotation_list import AnnotationList

# From so many videos on a table is kept in files.
SHARE_FROM = 50_000
KEEP_SECONDS = 30 * 24 * 3600
# Columns that are part of a video's annotation.
NUMBERS = ('label', 'line', 'total_frames', 'offset')


class ClipTable:
    """The videos of a data set, and the clips that they are cut into.

    A sequence of annotations, one a video, so that it may be the
    ``data_list`` of a stock dataset.

    Args:
        columns (dict[str, np.ndarray | Ragged]): ``names``, a
            :class:`TextColumn` of paths; some of ``label``, ``line``,
            ``total_frames`` and ``offset``, (num_videos,) int64; ``keys``, a
            :class:`Ragged` of (n, 3) int64, if readers want key packets; and
            what :meth:`with_clips` adds.
        prefix (str): Folder to which the paths are relative.
        folder (str): Where the columns are kept, '' if nowhere. Defaults to
            ''.
    """

    def __init__(
        self, columns: dict[str, Any], prefix: str, folder: str = ''
    ) -> None:
        self.columns = columns
        self.prefix = prefix
        self.folder = folder

    @classmethod
    def map(
        cls, folder: str, kinds: dict[str, type], prefix: str
    ) -> 'ClipTable':
        """Map the columns that :meth:`share` wrote."""
        return cls(map_columns(folder, kinds), prefix, folder)

    @classmethod
    def of(cls, listed: AnnotationList, prefix: str) -> 'ClipTable':
        """The videos of an annotation list.

        Args:
            listed (AnnotationList): The list.
            prefix (str): Folder to which its paths are relative.
        """
        return cls(
            dict(
                names=listed.names,
                label=listed.labels,
                line=listed.lines,
                **listed.numbers,
            ),
            prefix,
        )

    def __reduce__(self) -> tuple:
        if not self.folder:
            return ClipTable, (self.columns, self.prefix)
        return ClipTable.map, (self.folder, self._kinds(), self.prefix)

    def __deepcopy__(self, memo: dict) -> 'ClipTable':
        return self  # nobody changes one

    def _kinds(self) -> dict[str, type]:
        return {name: type(column) for name, column in self.columns.items()}

    # ----------------------------------------------------------------- videos

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.columns['names'])

    def __getitem__(self, video: int) -> dict:
        """Annotation of a video: ``filename`` and its numbers."""
        info = {
            name: int(self.columns[name][video])
            for name in NUMBERS
            if name in self.columns
        }
        return dict(info, filename=self.filename(video))

    def filename(self, video: int) -> str:
        """Path of a video."""
        return osp.join(self.prefix, self.columns['names'][video])

    def key_packets(self, video: int) -> Optional[tuple[KeyPacket, ...]]:
        """Where reading a video may begin; None if nobody asked."""
        if 'keys' not in self.columns:
            return None
        rows = self.columns['keys'].row(video).tolist()
        return tuple(KeyPacket(*row) for row in rows)

    def take(self, videos: np.ndarray, **columns: Any) -> 'ClipTable':
        """Some of the videos.

        Args:
            videos (np.ndarray): (n,) int64, their numbers, or (num_videos,)
                bool.
            columns (np.ndarray | Ragged): Further columns of all videos.

        Returns:
            ClipTable: Without clips.
        """
        if videos.dtype == bool:
            videos = np.flatnonzero(videos)
        found: dict[str, Any] = {**self.columns, **columns}
        for name in ('clip_counts', 'clip_ends'):
            found.pop(name, None)
        every = np.array_equal(videos, np.arange(len(self)))
        for name, column in () if every else list(found.items()):
            if isinstance(column, TextColumn):
                # The text around them is small, and may stay.
                found[name] = TextColumn(
                    column.values, column.starts[videos], column.ends[videos]
                )
            elif isinstance(column, Ragged):
                found[name] = column.take(videos)
            else:
                found[name] = column[videos]
        return ClipTable(found, self.prefix)

    def video_numbers(self, indices: Union[Sequence[int], int]) -> np.ndarray:
        """The videos that ``indices`` of a dataset choose.

        Args:
            indices (int or Sequence[int]): Numbers of videos; an int means
                the first, a negative int the last so many.

        Returns:
            np.ndarray: (n,) int64 video numbers, 0 and above.

        Raises:
            IndexError: Some are beyond the videos there are.
        """
        numbers = np.arange(len(self))
        try:
            if not isinstance(indices, (int, np.integer)):
                return numbers[np.asarray(indices, dtype=np.int64)]
            if abs(indices) > len(self):
                raise IndexError
            return numbers[:indices] if indices >= 0 else numbers[indices:]
        except IndexError:
            raise IndexError(
                f'indices {indices} choose videos beyond the {len(self)} '
                'there are'
            ) from None

    # ------------------------------------------------------------------ clips

    def with_clips(self, clip_counts: np.ndarray) -> 'ClipTable':
        """The table with the clips of each video.

        Args:
            clip_counts (np.ndarray): (num_videos,) int64.

        Returns:
            ClipTable: With ``clip_counts`` and ``clip_ends``; kept in files
            if it is large and there is room for them.
        """
        clips = dict(clip_counts=clip_counts, clip_ends=np.cumsum(clip_counts))
        table = ClipTable({**self.columns, **clips}, self.prefix)
        if len(table) >= SHARE_FROM:
            # Else each process has a copy.
            with suppress(OSError):
                return table.share(osp.join(cache_folder(), 'clip_tables'))
        return table

    @property
    def clip_counts(self) -> np.ndarray:
        """np.ndarray: (num_videos,) int64, clips of each video."""
        return self.columns['clip_counts']

    @property
    def num_clips(self) -> int:
        """int: Number of all clips."""
        ends = self.columns['clip_ends']
        return int(ends[-1]) if len(ends) else 0

    def locate(self, idx: int) -> tuple[int, int]:
        """Video and clip number of a clip index.

        Args:
            idx (int): Clip index; negative ones count from the end.

        Returns:
            tuple[int, int]: Number of the video, and of its clip.

        Raises:
            IndexError: There is no such clip.
        """
        idx = int(idx)
        if not -self.num_clips <= idx < self.num_clips:
            raise IndexError(
                f'clip index {idx} is out of range: there are {self.num_clips}'
            )
        idx %= self.num_clips
        ends = self.columns['clip_ends']
        video = int(np.searchsorted(ends, idx, side='right'))
        return video, int(idx - ends[video] + self.clip_counts[video])

    # ------------------------------------------------------------------ files

    def share(self, folder: str) -> 'ClipTable':
        """Keep the columns in files, named by what is in them.

        So processes of a machine, and later runs, find those of each other.

        Args:
            folder (str): Folder of all tables.

        Returns:
            ClipTable: The same, of columns that are mapped.

        Raises:
            OSError: The files cannot be written.
        """
        digest = blake2b(digest_size=16)
        for name, column in sorted(self.columns.items()):
            parts = [column]
            if isinstance(column, Ragged):
                parts = [getattr(column, part) for part in PARTS]
            for part in parts:
                digest.update(f'{name} {part.dtype} {part.shape} '.encode())
                digest.update(np.ascontiguousarray(part).reshape(-1).data)
        place = osp.join(folder, digest.hexdigest())
        try:
            os.utime(place)  # it is in use
        except FileNotFoundError:
            _forget_old(folder)
            temporary = f'{place}.{secrets.token_hex(4)}.tmp'
            try:
                save_columns(temporary, self.columns)
                with suppress(FileExistsError):
                    _rename(temporary, place)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return ClipTable.map(place, self._kinds(), self.prefix)


def _rename(temporary: str, place: str) -> None:
    try:
        os.rename(temporary, place)
    except OSError:
        if not osp.isdir(place):
            raise  # nobody else was faster


def _forget_old(folder: str) -> None:
    """Remove tables that no run has used for a month."""
    for name in os.listdir(folder) if osp.isdir(folder) else ():
        place = osp.join(folder, name)
        with suppress(OSError):
            if time.time() - os.stat(place).st_mtime > KEEP_SECONDS:
                shutil.rmtree(place)

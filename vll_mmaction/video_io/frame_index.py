"""The frame index: what each video of a data set holds, found out once.

A video is looked up by its path, and counted when it is new or its file has
changed. Where rows are kept :mod:`.index_store` knows, who counts what
:mod:`.counting`. Beside the index, ``<index>.bad.txt`` lists the unusable
videos for people to read.
"""

import contextlib
import hashlib
import os
import os.path as osp
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any, Callable, Optional

import numpy as np
from torch.utils.data import get_worker_info

from .columns import TextColumn
from .counting import Counting, rank_of_job
from .index_files import write_whole
from .index_rows import DECODE, PACKETS, TEXT, TRANSFORM, FoundRows
from .index_store import IndexStore
from .prober import file_stamps
from .video_facts import VideoFacts

INDEX_NAME = 'frame_index'


class FrameIndex:
    """Rows of the frame index, looked up by the paths of videos.

    Args:
        path (str): The index, a folder. Read if it exists, and so is a text
            index of an earlier version, ``<path>.jsonl``; an ending
            ``.jsonl`` of ``path`` is left out.
        root (str): Folder to which the paths in the index are relative, so
            that it moves with its videos. '' for absolute paths.

    Raises:
        ValueError: ``path`` holds something else than a frame index.
    """

    def __init__(self, path: str, root: str = '') -> None:
        self.path = path[: -len('.jsonl')] if path.endswith('.jsonl') else path
        self._prefix = osp.join(root, '') if root else ''
        self.store = IndexStore(self.path)

    @property
    def report(self) -> str:
        """str: File that lists the unusable videos, see the module."""
        return f'{self.path}.bad.txt'

    def _key(self, video: str) -> str:
        """The name of a video in the index."""
        if self._prefix and video.startswith(self._prefix):
            video = video[len(self._prefix) :]
        elif '://' not in video:
            video = osp.abspath(video)
        # The same on Windows and elsewhere.
        return video.replace(os.sep, '/')

    def keys(self, names: TextColumn) -> TextColumn:
        """Names in the index of videos as annotation lists have them.

        Args:
            names (TextColumn): Paths, relative to the folder of the videos or
                absolute.

        Returns:
            TextColumn: Of the same length.
        """
        rows = np.arange(len(names))
        if os.sep == '/' and not names.contains(b'://'):
            absolute = names.bytes_at() == ord('/')
            if self._prefix:
                rows = np.flatnonzero(absolute)
            elif not names.contains(b'//') and not names.contains(b'/.'):
                # Without detours an absolute path is its own name.
                ends = names.bytes_at(last=True) != ord('/')
                rows = np.flatnonzero(~(absolute & ends))
        if not len(rows):
            return names
        texts = list(names)
        for row in rows.tolist():
            texts[row] = self._key(osp.join(self._prefix, texts[row]))
        return TextColumn.of(texts)

    def names(self, videos: Iterable[str]) -> TextColumn:
        """Names in the index of videos by their whole paths."""
        return TextColumn.of(map(self._key, videos))

    def __getitem__(self, video: str) -> VideoFacts:
        """What is known of a video.

        Args:
            video (str): Its path.

        Returns:
            VideoFacts: Of its latest row.

        Raises:
            KeyError: It is not in the index.
        """
        try:
            return self.store.find(self.names([video])).row(0).facts
        except KeyError:
            raise KeyError(video) from None

    def check_videos(self, names: TextColumn) -> None:
        """Refuse to go on with the index of another data set.

        That is one that has none of the videos, and whose own are not there.

        Args:
            names (TextColumn): Names of videos, see :meth:`keys`.

        Raises:
            ValueError: It is such an index.
        """
        keys = self.keys(names)
        if not len(self.store) or self.store.find(keys).known.any():
            return
        stores = self.store.base.names, self.store.added.names
        own = [name for part in stores for name in islice(part, 100)]
        local = [name for name in own if '://' not in name]
        paths = [osp.join(self._prefix, name) for name in local]
        if not paths or any(map(osp.exists, paths)):
            return
        raise ValueError(
            f'frame_index={self.path!r} is the index of other videos, such as '
            f'{local[0]}, which are not in '
            f'{self._prefix or "their folder"!r}; it has none of the '
            f"dataset's, such as {osp.join(self._prefix, names[0])}. Name "
            'another path in `frame_index`, or None to have one chosen.'
        )

    def complete(
        self,
        names: TextColumn,
        transform: Optional[Callable[[dict], dict]] = None,
        count: str = 'decode',
        all_facts: bool = False,
        check_files: bool = True,
    ) -> FoundRows:
        """The rows of videos; those that are new or changed are counted first.

        All processes of a job may call it and share the work, as may several
        jobs.

        Args:
            names (TextColumn): Names of videos, see :meth:`keys`.
            transform (Callable, optional): Counts videos in other storage,
                see :func:`count_by_transform`. Defaults to None.
            count (str): ``'decode'``, or ``'packets'`` where each packet is
                known to be a frame. Defaults to ``'decode'``.
            all_facts (bool): Whether more than the number of frames is
                needed, which indices of earlier versions do not hold.
                Defaults to False.
            check_files (bool): Whether to see if a file has changed since it
                was counted. Defaults to True.

        Returns:
            FoundRows: A row for each video.

        Raises:
            RuntimeError: Called in a data loader's worker, where every worker
                would count for itself.
        """
        keys = self.keys(names)
        found, todo = self._missing(
            names, keys, transform, count, all_facts, check_files
        )
        in_worker = get_worker_info() is not None
        if todo and in_worker:
            raise RuntimeError(
                f'The frame index {self.path} is not complete and is never '
                'built in a data loader worker: call `dataset.full_init()` '
                'before the data loader starts (MMEngine does so unless '
                '`lazy_init=True`).'
            )
        if todo:
            Counting(self.store, todo, self._key, transform, count).run()
            found = self.store.find(keys)
        bad = not found.numbers('frames').all()
        if rank_of_job()[0] == 0 and not in_worker:
            # Of an index that cannot be written nothing is reported.
            with contextlib.suppress(OSError):
                if todo or (bad and not osp.exists(self.report)):
                    self.save_report()
                self.store.compact()
        return found

    def count_part(
        self, names: TextColumn, part: tuple[int, int], count: str = 'decode'
    ) -> int:
        """Count a part of the videos that are new or changed; wait for nobody.

        Args:
            names (TextColumn): Names of videos, see :meth:`keys`.
            part (tuple[int, int]): Number of the part, from 0, and of parts.
            count (str): See :meth:`complete`. Defaults to ``'decode'``.

        Returns:
            int: Number of videos that were counted.
        """
        keys = self.keys(names)
        _, todo = self._missing(names, keys, None, count, True, True)
        counting = Counting(self.store, todo, self._key, None, count, part)
        counting.run()
        return len(counting.own)

    def _missing(
        self,
        names: TextColumn,
        keys: TextColumn,
        transform: Optional[Callable],
        count: str,
        all_facts: bool,
        check_files: bool,
    ) -> tuple[FoundRows, dict[str, tuple[str, int]]]:
        """Rows of videos, and which of these are to be counted."""
        found = self.store.find(keys)
        fresh = self._counted(found, transform, count, all_facts)
        if check_files:
            fresh &= self._unchanged(names, found, np.flatnonzero(fresh))
        stale = np.flatnonzero(~fresh)
        if not len(stale):
            return found, {}
        paths = (osp.join(self._prefix, name) for name in names.take(stale))
        when = found.numbers('when')[stale].tolist()
        return found, dict(zip(keys.take(stale), zip(paths, when)))

    def _counted(
        self,
        found: FoundRows,
        transform: Optional[Callable],
        count: str,
        all_facts: bool,
    ) -> np.ndarray:
        """Which rows hold what is needed; (n,) bool."""
        by = found.numbers('by')
        if transform is not None:
            good = np.ones(len(by), bool)
        else:
            good = by == DECODE
            if count == 'packets':
                good |= by == PACKETS
            if not all_facts:
                good |= by == TRANSFORM
        if not all_facts and (by == TEXT).any():
            # Why a video could not be used may hold no longer.
            good |= (by == TEXT) & (found.numbers('frames') > 0)
        return good & found.known

    def _unchanged(
        self, names: TextColumn, found: FoundRows, rows: np.ndarray
    ) -> np.ndarray:
        """Which of some rows have the stamp of their file; (n,) bool."""
        chosen = names if len(rows) == len(names) else names.take(rows)
        # Joining paths takes as long as asking for a file.
        plain = os.sep == '/' and not (chosen.bytes_at() == ord('/')).any()
        join: Callable[..., bytes] = bytes.__add__ if plain else osp.join
        paths = map(partial(join, os.fsencode(self._prefix)), chosen.encoded())
        sizes, times = file_stamps(paths).T
        same = np.zeros(len(names), bool)
        same[rows] = found.numbers('size')[rows] == sizes
        same[rows] &= found.numbers('mtime')[rows] == times
        return same

    def save_report(self) -> None:
        """Write the report; remove an old one if all videos can be used."""
        base, added = self.store.base, self.store.added
        total = len(self.store) - int((base.find(added.names) >= 0).sum())
        names = TextColumn.concatenate(
            part.names.take(np.flatnonzero(np.asarray(part.frames) == 0))
            for part in (base, added)
        )
        found = self.store.find(names)
        rows = [found.row(number) for number in range(len(names))]
        bad = {row.name: row.facts.reason for row in rows if row.facts.reason}
        if bad:
            lines = [
                f'# {len(bad)} of the {total} videos in '
                f'{osp.basename(self.path)} cannot be used. Each is tried '
                'again when its file changes, all when the index is deleted.'
            ]
            lines += [
                f'{_one_line(name)}: {_one_line(reason)}'
                for name, reason in sorted(bad.items())
            ]
            write_whole(self.report, lines)
        elif osp.exists(self.report):
            os.remove(self.report)


def _one_line(text: str) -> str:
    """Text with line ends and control characters escaped."""
    return ''.join(
        c if c.isprintable() else c.encode('unicode_escape').decode()
        for c in text
    )


def default_index_path(video_root: str, ann_file: str) -> str:
    """Where the index of a data set is kept unless the user names a place.

    Args:
        video_root (str): Folder of the videos (``data_prefix['video']``), ''
            if the annotation file holds whole paths.
        ann_file (str): Annotation file.

    Returns:
        str: In the folder of the videos, so that all annotation files of a
        data set share it; without such a folder beside the annotation file;
        where neither can be written, in the user's cache folder.
    """
    if video_root and osp.isdir(video_root):
        path = osp.join(video_root, INDEX_NAME)
    else:
        path = f'{ann_file}.{INDEX_NAME}'
    folder = osp.dirname(osp.abspath(path))
    if os.access(path if osp.exists(path) else folder, os.W_OK):
        return path
    # The name that an index of an earlier version has there.
    whole = osp.abspath(path) + '.jsonl'
    name = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return osp.join(cache_folder(), f'{name}.{INDEX_NAME}')


def cache_folder() -> str:
    """The user's folder for what can be made anew."""
    cache = os.environ.get('XDG_CACHE_HOME') or osp.expanduser('~/.cache')
    return osp.join(cache, 'vll_mmaction')


def load_or_build(
    videos: Sequence[str], path: str, root: str = '', **needs: Any
) -> FrameIndex:
    """The frame index of videos, brought up to date.

    Args:
        videos (Sequence[str]): Whole paths of videos.
        path (str): See :class:`FrameIndex`.
        root (str): See :class:`FrameIndex`.
        needs (Any): See :meth:`FrameIndex.complete`.

    Returns:
        FrameIndex: Holds every one of ``videos``.
    """
    index = FrameIndex(path, root)
    index.complete(index.names(videos), **needs)
    return index

"""``VideoClipDataset``: a video dataset whose items are clips."""

import os.path as osp
from typing import Any, Callable, Optional, Union

import numpy as np
from mmaction.datasets import VideoDataset
from mmaction.datasets.transforms import DecordInit
from mmaction.registry import DATASETS

from ..video_io.frame_index import FrameIndex, default_index_path
from .annotation_list import (
    media_folder,
    read_annotation_list,
    report_bad_videos,
)
from .clip_dataset_mixin import ClipDatasetMixin
from .clip_table import ClipTable

INSTEAD = (
    ': write VideoReaderInit and ReadVideoClips in the place of DecordInit '
    'and DecordDecode'
)


@DATASETS.register_module()
class VideoClipDataset(ClipDatasetMixin, VideoDataset):
    """Video dataset whose items are the clips of its videos.

    See :class:`ClipDatasetMixin` for what an item and a batch are.

    Args:
        ann_file (str): Annotation file, a line ``path label`` a video.
        pipeline (list[dict | Callable]): Transforms. One must be
            :class:`SampleVideoClips`.
        frame_index (str, optional): Folder that holds the frame counts; made
            if it is missing. None chooses a place, see
            :func:`default_index_path`. Defaults to None.
        count (str): How new videos are counted: ``'decode'``, or
            ``'packets'``, ten times as fast, where you know that each packet
            of a file is a frame. Defaults to ``'decode'``.
        check_files (str): ``'always'`` looks at the start whether a file has
            changed since it was counted; ``'never'`` trusts the index, which
            spares a file system a question a video. Defaults to ``'always'``.
        per_video_augmentation (bool): Whether the clips of a video share one
            draw of crop, flip and so on. Defaults to False.
        max_bad_videos (float): Share of unusable videos, 0 to 1, above which
            the dataset refuses to work; while training one is always allowed,
            unless it is 0. Defaults to 0.05.
        max_read_seconds (float): Time that a data loader's worker may take to
            read a video; one that takes longer ends the job. Defaults to 600.
        num_classes (int, optional): Labels must be below. Defaults to None.
        kwargs: Further arguments of ``VideoDataset``.

    Raises:
        ValueError: On a bad annotation line, on too many unusable videos, or
            without ``SampleVideoClips``; the message names file and line.
    """

    def __init__(
        self,
        ann_file: str,
        pipeline: list[Union[dict, Callable]],
        frame_index: Optional[str] = None,
        count: str = 'decode',
        check_files: str = 'always',
        **kwargs: Any,
    ) -> None:
        _check_choice('count', count, ('decode', 'packets'))
        _check_choice('check_files', check_files, ('always', 'never'))
        self.frame_index = frame_index
        self.count = count
        self.check_files = check_files
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def load_data_list(self) -> ClipTable:
        """Read the annotation file, checking each line."""
        return ClipTable.of(
            read_annotation_list(
                self.ann_file,
                self.num_classes,
                # Stock's default; any white space will do.
                None if self.delimiter == ' ' else self.delimiter,
                labelled=self.labelled,
            ),
            media_folder(self.data_prefix, 'video'),
        )

    def filter_data(self) -> ClipTable:
        """Add frame counts; leave out videos that cannot be used."""
        table: ClipTable = self.data_list
        names, root = table.columns['names'], table.prefix
        path = self.frame_index or default_index_path(root, self.ann_file)
        index = FrameIndex(path, root)
        if self.frame_index:
            index.check_videos(names)
        other = self._other_reader()
        transforms = self.pipeline.transforms if other is None else ()
        seek = any(getattr(t, 'seek', False) for t in transforms)
        decord = any(isinstance(t, DecordInit) for t in transforms)
        found = index.complete(
            names,
            other,
            self.count,
            all_facts=seek or decord,
            check_files=self.check_files != 'never',
        )
        frames = found.numbers('frames')
        good = frames > 0
        if decord:
            differs = found.ragged('decord')
            good &= differs.ends == differs.starts
        bad = []
        for video in np.flatnonzero(~good).tolist():
            facts, line = found.row(video).facts, table[video]['line']
            bad.append(
                f'{self.ann_file}, line {line}: {table.filename(video)}: '
                + (facts.reason or facts.decord + INSTEAD)
            )
        # The report lists videos without frames alone, none of Decord's.
        listed = not frames[~good].any() and osp.exists(index.report)
        report = index.report if listed else ''
        report_bad_videos(bad, len(table), self.max_bad_videos, report)
        more = dict(keys=found.ragged('keys')) if seek else {}
        return table.take(good, total_frames=frames, **more)

    def _other_reader(self) -> Optional[Callable]:
        """What counts frames where files cannot be decoded: other storage.

        A transform that sets ``total_frames`` from ``filename`` counts if it
        reads from other storage or says so by ``counts_frames = True``.
        """
        for transform in self.pipeline.transforms:
            other = getattr(transform, 'io_backend', 'disk') != 'disk'
            if other or getattr(transform, 'counts_frames', False):
                return transform
        return None


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f'{name}={value!r} is none of {choices}')

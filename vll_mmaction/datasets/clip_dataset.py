"""``VideoClipDataset``: a video dataset whose items are clips."""

import os.path as osp
from functools import partial
from typing import Any, Callable, Optional, Union

from mmaction.datasets import VideoDataset
from mmaction.registry import DATASETS

from ..video_io.frame_index import (
    FrameIndex,
    count_by_transform,
    default_index_path,
    load_or_build,
)
from .annotation_list import read_annotation_list, report_bad_videos
from .clip_dataset_mixin import ClipDatasetMixin


@DATASETS.register_module()
class VideoClipDataset(ClipDatasetMixin, VideoDataset):
    """Video dataset whose items are the clips of its videos.

    See :class:`ClipDatasetMixin` for what an item and a batch are.

    Args:
        ann_file (str): Annotation file, a line ``path label`` a video.
        pipeline (list[dict | Callable]): Transforms. One must be
            :class:`SampleVideoClips`.
        frame_index (str, optional): File that holds the frame counts; made
            if it is missing. None chooses a place, see
            :func:`default_index_path`. Defaults to None.
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
        **kwargs: Any,
    ) -> None:
        self.frame_index = frame_index
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file, checking each line."""
        listed = read_annotation_list(
            self.ann_file, self.num_classes, self.delimiter
        )
        root = self.data_prefix.get('video') or ''
        return [
            dict(filename=osp.join(root, name), label=label, line=line)
            for name, label, line in zip(
                listed.names, listed.labels.tolist(), listed.lines.tolist()
            )
        ]

    def filter_data(self) -> list[dict]:
        """Add frame counts; leave out videos that cannot be used."""
        root = self.data_prefix.get('video') or ''
        path = self.frame_index or default_index_path(root, self.ann_file)
        videos = [info['filename'] for info in self.data_list]
        if self.frame_index:
            FrameIndex(path, root).check_videos(videos)
        count = self._other_counter()
        # Only local files are sought.
        seek = count is None and any(
            getattr(transform, 'seek', False)
            for transform in self.pipeline.transforms
        )
        index = load_or_build(videos, path, root, count)
        usable, bad = [], []
        for info in self.data_list:
            entry = index[info['filename']]
            if entry.frames:
                info = dict(info, total_frames=entry.frames)
                if seek:
                    info['key_packets'] = entry.keys
                usable.append(info)
            else:
                bad.append(
                    f'{self.ann_file}, line {info["line"]}: '
                    f'{info["filename"]}: {entry.reason}'
                )
        report = index.report if osp.exists(index.report) else ''
        report_bad_videos(bad, len(videos), self.max_bad_videos, report)
        return usable

    def _other_counter(self) -> Optional[Callable]:
        """How to count frames where decord cannot: in other storage or format.

        A transform that sets ``total_frames`` from ``filename`` counts if it
        reads from other storage or says so by ``counts_frames = True``.
        """
        for transform in self.pipeline.transforms:
            other = getattr(transform, 'io_backend', 'disk') != 'disk'
            if other or getattr(transform, 'counts_frames', False):
                return partial(count_by_transform, transform)
        return None

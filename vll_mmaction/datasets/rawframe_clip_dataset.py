"""``RawframeClipDataset``: extracted frames, whose items are clips."""

import os.path as osp

import numpy as np
from mmaction.datasets import RawframeDataset
from mmaction.registry import DATASETS

from .annotation_list import (
    media_folder,
    read_annotation_list,
    report_bad_videos,
)
from .clip_dataset_mixin import ClipDatasetMixin


@DATASETS.register_module()
class RawframeClipDataset(ClipDatasetMixin, RawframeDataset):
    """Dataset of folders of frames whose items are the clips of its videos.

    For RGB frames and, with ``modality='Flow'``, optical flow. See
    :class:`ClipDatasetMixin` for what an item and a batch are; ``filename``
    in the meta info is the folder, and ``frame_inds`` count from
    ``start_index``.

    The number of frames stands in the annotation file, so that nothing is
    counted; a frame that is missing shows when it is read. The frames may be
    in any storage that ``RawFrameDecode`` reads.

    Args:
        ann_file (str): Annotation file, a line ``folder frames label`` a
            video, or ``folder offset frames label`` with ``with_offset``.
        pipeline (list[dict | Callable]): Transforms. One must be
            :class:`SampleVideoClips`.
        kwargs: ``per_video_augmentation`` and ``max_bad_videos`` as in
            :class:`ClipDatasetMixin`, and the arguments of
            ``RawframeDataset``.

    Raises:
        ValueError: On a bad annotation line, on too many videos without
            frames, or without ``SampleVideoClips``; the message names file
            and line.
    """

    def load_data_list(self) -> list[dict]:
        """Read the annotation file, checking each line."""
        numbers = ['offset'] * self.with_offset + ['total_frames']
        listed = read_annotation_list(
            self.ann_file,
            self.num_classes,
            numbers=numbers,
            labelled=self.labelled,
        )
        root = media_folder(self.data_prefix, 'img')
        rows = np.stack(
            [listed.labels, listed.lines, *listed.numbers.values()], axis=1
        )
        data_list = []
        for name, row in zip(listed.names, rows.tolist()):
            folder = osp.join(root, name)
            info = dict(frame_dir=folder, filename=folder)
            info.update(zip(['label', 'line', *numbers], row))
            data_list.append(info)
        return data_list

    def filter_data(self) -> list[dict]:
        """Leave out videos without frames."""
        bad = [
            f'{self.ann_file}, line {info["line"]}: {info["filename"]}: it '
            'has no frames'
            for info in self.data_list
            if info['total_frames'] < 1
        ]
        report_bad_videos(bad, len(self.data_list), self.max_bad_videos)
        return [info for info in self.data_list if info['total_frames'] > 0]

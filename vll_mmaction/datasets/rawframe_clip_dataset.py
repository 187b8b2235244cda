"""``RawframeClipDataset``: extracted frames, whose items are clips."""

import numpy as np
from mmaction.datasets import RawframeDataset
from mmaction.registry import DATASETS

from .annotation_list import (
    media_folder,
    read_annotation_list,
    report_bad_videos,
)
from .clip_dataset_mixin import ClipDatasetMixin
from .clip_table import ClipTable


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

    def load_data_list(self) -> ClipTable:
        """Read the annotation file, checking each line."""
        numbers = ['offset'] * self.with_offset + ['total_frames']
        return ClipTable.of(
            read_annotation_list(
                self.ann_file,
                self.num_classes,
                numbers=numbers,
                labelled=self.labelled,
            ),
            media_folder(self.data_prefix, 'img'),
        )

    def filter_data(self) -> ClipTable:
        """Leave out videos without frames."""
        table: ClipTable = self.data_list
        good = table.columns['total_frames'] > 0
        bad = [
            f'{self.ann_file}, line {table[video]["line"]}: '
            f'{table.filename(video)}: it has no frames'
            for video in np.flatnonzero(~good).tolist()
        ]
        report_bad_videos(bad, len(table), self.max_bad_videos)
        return table.take(good)

    def _video_info(self, video: int) -> dict:
        info = super()._video_info(video)
        return dict(info, frame_dir=info['filename'])

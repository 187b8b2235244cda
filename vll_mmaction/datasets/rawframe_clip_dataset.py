"""``RawframeClipDataset``: extracted frames, whose items are clips."""

import os.path as osp

from mmaction.datasets import RawframeDataset
from mmaction.registry import DATASETS

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

    def _parse_line(self, line: str, number: int) -> dict:
        where = f'{self.ann_file}, line {number}'
        names = ['offset'] * self.with_offset + ['total_frames']
        wanted = f'folder {" ".join(names)} label'
        # From the right: a path may hold spaces.
        folder, *fields = line.rsplit(None, len(names) + 1)
        if len(fields) <= len(names):
            raise ValueError(
                f'{where}: {line!r} has too few fields. Wanted: {wanted}'
            )
        *fields, label = fields
        info = dict(label=self._parse_label(label, where, wanted), line=number)
        for name, value in zip(names, fields):
            if not value.isdecimal():
                raise ValueError(
                    f'{where}: {name} {value!r} is not a whole number. '
                    f'Wanted: {wanted}'
                )
            info[name] = int(value)
        folder = osp.join(self.data_prefix.get('img') or '', folder)
        return dict(info, frame_dir=folder, filename=folder)

    def filter_data(self) -> list[dict]:
        """Leave out videos without frames."""
        bad = [
            f'{self.ann_file}, line {info["line"]}: {info["filename"]}: it '
            'has no frames'
            for info in self.data_list
            if info['total_frames'] < 1
        ]
        if bad:
            self._report_bad(bad, len(self.data_list))
        return [info for info in self.data_list if info['total_frames'] > 0]

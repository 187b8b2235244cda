"""``WholeVideoDataset``: all clips of a video in one sample, for testing."""

import os.path as osp
from typing import Any, Callable, Optional, Union

import numpy as np
from mmaction.registry import DATASETS
from mmengine.dataset import Compose
from torch import Tensor
from torch.utils.data import Dataset

from ..video_io.read_watch import ReadWatch
from .annotation_list import report_bad_videos
from .bad_videos import UnreadableVideo
from .clip_dataset import VideoClipDataset
from .clip_reading import check_read
from .clip_stream import stream_sample
from .rawframe_clip_dataset import RawframeClipDataset


@DATASETS.register_module()
class WholeVideoDataset(Dataset):
    """Videos for validation and test: a sample is all clips of a video.

    The twin of :class:`VideoClipDataset`, for the same lists, with the same
    frame index and the same readers. All videos are looked up before the
    first is read, and none is replaced: a test is of all videos, or ends.

    A sample is what ``PackActionInputs`` packs: ``inputs``
    (m * crops, C, T, H, W) uint8 (2D: (m * crops * T, C, H, W)) for the m
    clips of ``SampleVideoClips``, and a data sample.

    Args:
        ann_file (str): Annotation file, a line ``path label`` a video.
        pipeline (list[dict | Callable]): Transforms. One must be
            :class:`SampleVideoClips`.
        labelled (bool): Whether lines end in a label. False is for testing
            alone: predictions are written, and nothing is said of how many
            are right. Defaults to True.
        max_bad_videos (float): Share of unusable videos, 0 to 1, that may be
            left out. Defaults to 0.
        max_read_seconds (float): Time that a data loader's worker may take to
            read a video; one that takes longer ends the job. Defaults to 600.
        stream_above (int, optional): Videos of more clips come as a
            :class:`ClipStream`, which a video-level recognizer reads as it
            goes: testing then takes no more memory, however long they are.
            The predictions are the same, to the last bit where the model has
            ``test_cfg.max_testing_views`` (else up to rounding: the network
            gets other parts of a video at once). Defaults to None: all clips
            of a video are in memory at once.
        kwargs: Further arguments of :class:`VideoClipDataset`.

    Raises:
        ValueError: On a bad annotation line, on unusable videos, or without
            ``SampleVideoClips``; the message names file and line.
    """

    clip_dataset: type = VideoClipDataset

    def __init__(
        self,
        ann_file: str,
        pipeline: list[Union[dict, Callable]],
        labelled: bool = True,
        max_bad_videos: float = 0.0,
        max_read_seconds: float = 600,
        stream_above: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        self.labelled = labelled
        self.max_bad_videos = max_bad_videos
        self.max_read_seconds = max_read_seconds
        self.stream_above = stream_above
        kwargs.update(test_mode=True, labelled=labelled)
        self._clips = self.clip_dataset(
            ann_file, pipeline, max_bad_videos=max_bad_videos, **kwargs
        )
        self.pipeline = self._clips.pipeline
        self.ann_file = self._clips.ann_file
        self._ready = False
        if not kwargs.get('lazy_init'):
            self.full_init()

    def full_init(self) -> None:
        """Read the annotation file and look up every video."""
        if not self._ready:
            self._clips.full_init()
            self._check_files()
            self._watch = ReadWatch(len(self), self._clips._name)
            self._ready = True

    def _check_files(self) -> None:
        """See that the videos are there: those of files, the index has."""

    @property
    def metainfo(self) -> dict:
        """dict: As of stock datasets, with ``classes`` where given."""
        return self._clips.metainfo

    @property
    def labels(self) -> Optional[np.ndarray]:
        """np.ndarray | None: (num_videos,) int64; None without labels."""
        return self._clips.labels if self.labelled else None

    @property
    def num_clips(self) -> np.ndarray:
        """np.ndarray: (num_videos,) int64, number of clips of each video."""
        return self._clips.clip_counts

    def __len__(self) -> int:
        """Number of videos."""
        return len(self._clips.clip_counts)

    def get_data_info(self, idx: int) -> dict:
        """Annotation of a video.

        Args:
            idx (int): Number of the video.

        Returns:
            dict: ``filename``, ``total_frames``, ``line`` of the annotation
            file, ``sample_idx``, ``label`` where the list has labels, and
            ``modality`` and ``start_index`` as stock.
        """
        info = dict(self._clips._video_info(idx), sample_idx=idx)
        if not self.labelled:
            del info['label']
        return info

    def __getitem__(self, idx: int) -> dict:
        """The packed sample of a video, see the class."""
        self.full_init()
        idx = range(len(self))[int(idx)]
        info = self.get_data_info(idx)
        if type(self.pipeline) is not Compose:
            # Stock's browse_dataset.py looks at each step.
            return self.pipeline(info)
        name = self._clips._name(idx)
        if self.stream_above and self.num_clips[idx] > self.stream_above:
            sample = stream_sample(self.pipeline.transforms, info, name)
        else:
            with self._watch.reading(idx, self.max_read_seconds):
                sample = self._read(info, name)
        # By which clips are told from crops.
        sample['data_samples'].set_metainfo(
            dict(num_clips=int(self.num_clips[idx]))
        )
        return sample

    def _read(self, info: dict, name: str) -> dict:
        total_frames, read = info['total_frames'], False
        results = info
        for transform in self.pipeline.transforms:
            try:
                results = transform(results)
            except Exception as error:
                raise UnreadableVideo.by(transform, name, error) from error
            if results is None:
                raise UnreadableVideo(
                    f'{name}: {type(transform).__name__} gave None'
                )
            if not read and 'imgs' in results:
                read = True
                check_read(name, total_frames, results)
        if not isinstance(results.get('inputs'), Tensor):
            raise ValueError(
                'The pipeline of a dataset of videos must end with '
                "dict(type='PackActionInputs')."
            )
        return results


@DATASETS.register_module()
class WholeRawframeDataset(WholeVideoDataset):
    """:class:`WholeVideoDataset` of folders of frames.

    The twin of :class:`RawframeClipDataset`. On a local disk the first and
    the last frame of each video are looked for before the first is read.

    Args:
        ann_file (str): Annotation file, a line ``folder frames label`` a
            video, or ``folder offset frames label`` with ``with_offset``.
        pipeline (list[dict | Callable]): See :class:`WholeVideoDataset`.
        kwargs: ``labelled``, ``max_bad_videos`` and ``max_read_seconds`` as
            there, and further arguments of :class:`RawframeClipDataset`.

    Raises:
        ValueError: See :class:`WholeVideoDataset`.
    """

    clip_dataset = RawframeClipDataset

    def _check_files(self) -> None:
        backends = [
            getattr(transform, 'io_backend', 'disk')
            for transform in self.pipeline.transforms
        ]
        if any(backend != 'disk' for backend in backends):
            return
        bad, usable = [], []
        for video in range(len(self)):
            lost = self._lost_frame(self._clips._video_info(video))
            if lost:
                bad.append(f'{self._clips._name(video)}: there is no {lost}')
            else:
                usable.append(video)
        report_bad_videos(bad, len(self), self.max_bad_videos)
        if bad:
            self._clips.get_subset_(usable)

    def _lost_frame(self, info: dict) -> str:
        """The first or the last frame, if it is not there."""
        start = info['start_index'] + info.get('offset', 0)
        for number in (start, start + info['total_frames'] - 1):
            names = (
                [info['filename_tmpl'].format(number)]
                if info['modality'] == 'RGB'
                else [
                    info['filename_tmpl'].format(axis, number) for axis in 'xy'
                ]
            )
            for name in names:
                path = osp.join(info['frame_dir'], name)
                if not osp.exists(path):
                    return path
        return ''

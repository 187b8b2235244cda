"""``ClipFeatureDataset``: clips whose features were written before."""

import os.path as osp
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

import numpy as np
import torch
from mmaction.datasets import VideoDataset
from mmaction.registry import DATASETS
from mmaction.structures import ActionDataSample
from mmengine.dataset import force_full_init

from .annotation_list import read_annotation_list
from .clip_dataset_mixin import ClipDatasetMixin
from .clip_table import ClipTable
from .feature_store import FeatureStore, some_of
from .samplers.clip_batch import ClipBatch, draw_key
from .transforms.clip_sampling import ClipSampling, SampleVideoClips

# Clips looked at together when all are checked.
_CHUNK = 4096


@DATASETS.register_module()
class ClipFeatureDataset(ClipDatasetMixin, VideoDataset):
    """Features of clips, written by ``ClipFeatureLoop``, in place of pixels.

    In training an item is a clip: ``inputs`` is (1, D) float16, a view of one
    tensor a batch; where several draws of a clip are stored, one of them is
    taken at random. In test mode an item is a video: ``inputs`` is (m, D),
    the mean over the draws, so that ``batch_size`` is 1 there. Samplers,
    wrappers, subsets and resuming are those of :class:`VideoClipDataset`.
    Features are mapped into memory; what a process holds does not grow with
    the file.

    Args:
        ann_file (str): Annotation file, a line ``path label`` a video, with
            paths as in the list that the features were written from.
        features (str): Folder of the features, relative to ``data_root``.
        pipeline (list[dict]): ``[]`` for all clips, or one
            ``SampleVideoClips``, whose ``max_clips`` and ``keep`` choose
            among them. Defaults to ``[]``.
        kwargs: ``data_root``, ``test_mode``, ``num_classes``, ``indices`` and
            so on, as :class:`VideoClipDataset` takes them.

    Raises:
        FileNotFoundError: The features are not there, or not finished.
        ValueError: The files are cut short or of another version, videos of
            the list are missing, or the clips were cut by another rule.
    """

    def __init__(
        self,
        ann_file: str,
        features: str,
        pipeline: Sequence[Union[dict, Callable]] = (),
        **kwargs: Any,
    ) -> None:
        self.features = osp.join(kwargs.get('data_root') or '', features)
        self._store: Optional[FeatureStore] = None
        super().__init__(ann_file, pipeline=list(pipeline), **kwargs)
        kinds = [type(x).__name__ for x in self.pipeline.transforms]
        if kinds not in ([], ['SampleVideoClips']):
            raise ValueError(
                'ClipFeatureDataset reads no frames: its pipeline is empty, '
                f'or has SampleVideoClips alone, but it has {kinds}'
            )

    @property
    def store(self) -> FeatureStore:
        """FeatureStore: The features, opened when they are first needed."""
        if self._store is None:
            self._store = FeatureStore(self.features)
        return self._store

    @property
    def clip_sampling(self) -> ClipSampling:
        """ClipSampling: The rule of the pipeline, or of the features."""
        for transform in self.pipeline.transforms:
            if isinstance(transform, SampleVideoClips):
                return transform.sampling
        return self.store.sampling

    @property
    def source(self) -> str:
        """str: Names the network and weights that the features are of."""
        return self.store.source

    @property
    def feature_dim(self) -> int:
        """int: D, numbers in the feature of a clip."""
        return self.store.features.shape[2]

    # ----------------------------------------------------------------- videos

    def load_data_list(self) -> ClipTable:
        """Read the annotation file, checking each line."""
        # Paths as in the list: there need be no videos.
        return ClipTable.of(
            read_annotation_list(
                self.ann_file,
                self.num_classes,
                None if self.delimiter == ' ' else self.delimiter,
                labelled=self.labelled,
            ),
            prefix='',
        )

    def filter_data(self) -> ClipTable:
        """Add the frame counts and the places of the features."""
        self.store.check_rule(self.clip_sampling, f'The {self._loader_name()}')
        numbers = {
            name: number
            for number, name in enumerate(self.store.filenames.tolist())
        }
        table: ClipTable = self.data_list
        names = list(table.columns['names'])
        missing = [name for name in names if name not in numbers]
        if missing:
            raise ValueError(
                f'{len(missing)} of the {len(names)} videos of '
                f'{self.ann_file} have no features in {self.store.path}: '
                f'{some_of(missing)}. It has videos such as '
                f'{self.store.filenames[0]}: correct the list, or write the '
                'features of a list with all videos.'
            )
        videos = np.array([numbers[name] for name in names], dtype=np.int64)
        return table.take(
            np.arange(len(table)),
            total_frames=np.asarray(self.store.total_frames, np.int64)[videos],
            first_row=np.asarray(self.store.first_clips(), np.int64)[videos],
        )

    def _loader_name(self) -> str:
        return f'dataset of {self.ann_file}'

    def _column(self, name: str) -> np.ndarray:
        return self.data_list.columns[name]

    @force_full_init
    def __len__(self) -> int:
        """Number of clips; of videos in test mode."""
        return len(self.data_list) if self.test_mode else super().__len__()

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Annotation of a clip's video, or in test mode of a video.

        Args:
            idx (int): Index of the item.

        Returns:
            dict: See :class:`VideoClipDataset`.
        """
        if not self.test_mode:
            return super().get_data_info(idx)
        video = range(len(self))[idx]
        return dict(self._video_info(video), video_id=video, sample_idx=video)

    @force_full_init
    def check_finite(self) -> None:
        """Refuse features that are not finite.

        Raises:
            ValueError: There are; the message names the first clip.
        """
        counts = self.store.sampling.count(self._column('total_frames'))
        firsts = self._column('first_row')
        # Rows of a video follow each other, videos come in any order.
        shifts = firsts - (np.cumsum(counts) - counts)
        rows = np.repeat(shifts, counts) + np.arange(counts.sum())
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            good = np.isfinite(self.store.features[part]).all(axis=(1, 2))
            if not good.all():
                row = part[~good][0]
                before = np.flatnonzero(firsts <= row)
                video = int(before[firsts[before].argmax()])
                raise ValueError(
                    f'{self.store.path}/features.npy holds numbers that are '
                    f'not finite: {self.data_list.filename(video)}, clip '
                    f'{row - firsts[video]}. Write the features '
                    'anew.'
                )

    # ---------------------------------------------------------------- reading

    def __getitem__(self, idx: int) -> dict:
        """The packed sample of one clip, or in test mode of one video."""
        return self.__getitems__([idx])[0]

    @force_full_init
    def __getitems__(self, indices: Sequence[int]) -> list[dict]:
        """The packed samples of a batch.

        Args:
            indices (Sequence[int]): Indices of items, a :class:`ClipBatch`
                for reproducible draws.

        Returns:
            list[dict]: One an item, in the order asked for.
        """
        if self.test_mode:
            return [self._whole_video(range(len(self))[i]) for i in indices]
        batch = ClipBatch.of(indices)
        items = np.arange(len(self))[np.asarray(batch, dtype=np.int64)]
        ends = self._column('clip_ends')
        videos = np.searchsorted(ends, items, side='right')
        clips = items - ends[videos] + self._column('clip_counts')[videos]
        kept, draws = clips, np.zeros(len(items), dtype=np.int64)
        stored = self.store.features.shape[1]
        if stored > 1 or self.clip_sampling.max_clips is not None:
            kept = clips.copy()
            for video in np.unique(videos).tolist():
                places = np.flatnonzero(videos == video)
                rng = np.random.default_rng(draw_key(batch.key, video))
                kept[places] = self._kept(video, rng)[clips[places]]
                draws[places] = rng.integers(stored, size=len(places))
        rows = self._column('first_row')[videos] + kept
        inputs = torch.from_numpy(self.store.features[rows, draws])
        labels = torch.from_numpy(self._column('label')[videos])
        samples = []
        for number, (video, clip) in enumerate(
            zip(videos.tolist(), clips.tolist())
        ):
            sample = _sample(
                labels[number : number + 1],
                video_id=video + batch.video_offset,
                clip_id=clip,
            )
            packed = dict(
                inputs=inputs[number : number + 1], data_samples=sample
            )
            samples.append(packed)
        return samples

    def _kept(
        self, video: int, rng: Optional[np.random.Generator]
    ) -> np.ndarray:
        """Numbers, among all clips of a video, of those that are used."""
        rule, frames = (
            self.clip_sampling,
            int(self._column('total_frames')[video]),
        )
        return rule._kept(int(rule._num_candidates(frames)), rng)

    def _whole_video(self, video: int) -> dict:
        kept = self._kept(video, np.random.default_rng(video))
        info = self._video_info(video)
        rows = self._column('first_row')[video] + kept
        features = self.store.features[rows]
        if features.shape[1] > 1:
            features = features.mean(axis=1, keepdims=True, dtype=np.float32)
        sample = _sample(
            torch.tensor([info['label']]),
            video_id=video,
            filename=info['filename'],
            num_clips=len(rows),
            frame_inds=self.store.frame_inds[rows].reshape(-1),
            total_frames=info['total_frames'],
        )
        return dict(
            inputs=torch.from_numpy(features[:, 0]), data_samples=sample
        )


def _sample(label: torch.Tensor, **metainfo: Any) -> ActionDataSample:
    sample = ActionDataSample()
    sample.gt_label = label
    # Not set_metainfo, which copies deeply.
    for name, value in metainfo.items():
        sample.set_field(value, name, field_type='metainfo')
    return sample

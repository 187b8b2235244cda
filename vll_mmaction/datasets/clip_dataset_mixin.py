"""``ClipDatasetMixin``: makes the items of a stock dataset of videos clips.

An item is one clip, so that a batch has the shape every stock recognizer
takes; a batch's clips of one video are read in one pass. Which clips there
are, ``clip_table.py`` knows, how a video is read and packed
``clip_reading.py``, what becomes of one that can't be read ``bad_videos.py``.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

import numpy as np
from mmengine.dataset import Compose, force_full_init

from ..video_io.clip_array import in_one_storage
from .bad_videos import UnreadableVideo, VideoReplacement
from .clip_reading import ClipReader
from .clip_table import ClipTable
from .samplers.clip_batch import ClipBatch, draw_key
from .transforms.clip_sampling import ClipSampling, SampleVideoClips


class ClipDatasetMixin:
    """Put before a stock dataset of videos: its items become their clips.

    The clips are those of the pipeline's :class:`SampleVideoClips`. Clip
    indices run video by video. ``len``, ``__getitem__``, ``get_data_info``
    and ``get_cat_ids`` take clip indices; ``indices`` and ``get_subset(_)``
    choose videos.

    ``__getitems__``, by which PyTorch >= 2.0 fetches a batch, reads each
    video of the batch once: transforms up to the one that sets ``imgs`` run
    once a video, those after it once a clip, so that each clip draws its own
    crop and flip. Indices that come as a :class:`ClipBatch` with a key get
    draws that are a function of that key, the video and the clip.

    Each sample is what ``PackActionInputs`` packs: ``inputs``
    (1, C, T, H, W) uint8 (2D: (T, C, H, W)), a view of one contiguous tensor
    a video, and a data sample whose meta info has ``video_id``, ``clip_id``,
    ``filename``, ``frame_inds`` ((clip_len,) int64), ``total_frames`` and,
    where another video stands in for one that could not be read,
    ``replaces`` (that one's file name).

    A subclass has ``load_data_list``, which gives a :class:`ClipTable` with
    ``label`` and ``line`` of the annotation file for each video, and
    ``filter_data``, which adds ``total_frames`` and leaves out videos that
    cannot be used.

    Args:
        ann_file (str): Annotation file.
        pipeline (list[dict | Callable]): Transforms. One must be
            :class:`SampleVideoClips`.
        per_video_augmentation (bool): Whether the clips of a video share one
            draw of crop, flip and so on. Defaults to False.
        max_bad_videos (float): Share of unusable videos, 0 to 1, above which
            the dataset refuses to work; while training one is always allowed,
            unless it is 0. Defaults to 0.05.
        max_read_seconds (float): Time that a data loader's worker may take to
            read a video; one that takes longer ends the job. Defaults to 600.
        labelled (bool): Whether lines end in a label; False is for the videos
            of a :class:`WholeVideoDataset`. Defaults to True.
        kwargs: Further arguments of the stock dataset.

    Raises:
        ValueError: On a bad annotation line, on too many unusable videos, or
            without ``SampleVideoClips``; the message names file and line.
    """

    data_list: ClipTable

    def __init__(
        self,
        ann_file: str,
        pipeline: list[Union[dict, Callable]],
        per_video_augmentation: bool = False,
        max_bad_videos: float = 0.05,
        max_read_seconds: float = 600,
        labelled: bool = True,
        **kwargs: Any,
    ) -> None:
        if kwargs.get('multi_class'):
            raise ValueError(
                f'{type(self).__name__} takes one label a video: '
                'multi_class=True is not supported, since the consistent '
                'constraint has no meaning for several labels.'
            )
        if not labelled and not kwargs.get('test_mode'):
            raise ValueError('labelled=False: training needs labels.')
        if not 0 <= max_bad_videos <= 1:
            raise ValueError(
                f'max_bad_videos is a share, 0 to 1, got {max_bad_videos}'
            )
        if not max_read_seconds > 0:
            raise ValueError(
                f'max_read_seconds must be above 0, got {max_read_seconds}'
            )
        self.per_video_augmentation = per_video_augmentation
        self.max_bad_videos = max_bad_videos
        self.max_read_seconds = max_read_seconds
        self.labelled = labelled
        self._reader = ClipReader(per_video_augmentation)
        # Columns need not be pickled to be shared, whatever is asked for.
        kwargs.update(serialize_data=False)
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    def full_init(self) -> None:
        """Load annotations and frame counts, and make the clip table."""
        if self._fully_initialized:
            return
        super().full_init()
        self._build_clip_table()

    # ------------------------------------------------------------------ clips

    @property
    def clip_sampling(self) -> ClipSampling:
        """ClipSampling: The rule of the pipeline's ``SampleVideoClips``."""
        for transform in self.pipeline.transforms:
            if isinstance(transform, SampleVideoClips):
                return transform.sampling
        raise ValueError(
            f'The pipeline for {self.ann_file} needs the transform '
            "dict(type='SampleVideoClips'); it has "
            f'{[type(t).__name__ for t in self.pipeline.transforms]}'
        )

    def _build_clip_table(self) -> None:
        counts = self.clip_sampling.count(
            self.data_list.columns['total_frames']
        )
        self.data_list = self.data_list.with_clips(counts)
        self._replacement = VideoReplacement(
            self.data_list, self.max_bad_videos, self._name, self._load_clips
        )

    def _get_unserialized_subset(
        self, indices: Union[Sequence[int], int]
    ) -> ClipTable:
        return self.data_list.take(self.data_list.video_numbers(indices))

    @property
    @force_full_init
    def clip_counts(self) -> np.ndarray:
        """np.ndarray: (num_videos,) int64, number of clips of each video."""
        return self.data_list.clip_counts

    @property
    @force_full_init
    def labels(self) -> np.ndarray:
        """np.ndarray: (num_videos,) int64, label of each video."""
        return self.data_list.columns['label']

    @property
    @force_full_init
    def frame_counts(self) -> np.ndarray:
        """np.ndarray: (num_videos,) int64, number of frames of each video."""
        return self.data_list.columns['total_frames']

    @force_full_init
    def __len__(self) -> int:
        """Number of clips."""
        return self.data_list.num_clips

    def _video_info(self, video: int) -> dict:
        info = super().get_data_info(video)
        keys = self.data_list.key_packets(video)
        if keys is not None:
            info['key_packets'] = keys
        return info

    def _name(self, video: int) -> str:
        """A video in messages: its file, and where it is listed."""
        info = self._video_info(video)
        return f'{info["filename"]} ({self.ann_file}, line {info["line"]})'

    @force_full_init
    def get_data_info(self, idx: int) -> dict:
        """Annotation of the video of a clip, with ``video_id``, ``clip_id``.

        Args:
            idx (int): Clip index.

        Returns:
            dict: ``filename``, ``label``, ``total_frames``, ``line`` of the
            annotation file, ``video_id``, ``clip_id``, ``sample_idx``, and
            ``modality`` and ``start_index`` as stock.
        """
        video, clip = self.data_list.locate(idx)
        info = self._video_info(video)
        info.update(video_id=video, clip_id=clip, sample_idx=idx % len(self))
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Label of a clip.

        Args:
            idx (int): Clip index.

        Returns:
            list[int]: The one label.
        """
        return [self.get_data_info(idx)['label']]

    # ---------------------------------------------------------------- subsets

    @force_full_init
    def get_subset_(self, indices: Union[Sequence[int], int]) -> None:
        """Keep some of the videos, in place.

        Args:
            indices (int or Sequence[int]): Numbers of videos; an int means
                the first, a negative int the last so many.
        """
        super().get_subset_(indices)
        self._build_clip_table()

    @force_full_init
    def get_subset(
        self, indices: Union[Sequence[int], int]
    ) -> 'ClipDatasetMixin':
        """A dataset of some of the videos.

        Args:
            indices (int or Sequence[int]): See :meth:`get_subset_`.

        Returns:
            ClipDatasetMixin: The subset, of this class.
        """
        subset = super().get_subset(indices)
        subset._build_clip_table()
        return subset

    def _copy_without_annotation(
        self, memo: Optional[dict] = None
    ) -> 'ClipDatasetMixin':
        # The stock default is one dict for all calls, which would hand the
        # copies of an earlier subset to a later one.
        return super()._copy_without_annotation({} if memo is None else memo)

    # ---------------------------------------------------------------- reading

    def __getitem__(self, idx: int) -> dict:
        """The packed sample of one clip, see the class."""
        if type(self.pipeline) is Compose:
            return self.__getitems__([idx])[0]
        # Stock's browse_dataset.py looks at each step through a pipeline of
        # its own.
        info = self.get_data_info(idx)
        key = draw_key(None, info['video_id'])
        info['clip_ids'] = np.array([info['clip_id']])
        info['clip_rng'] = np.random.default_rng(key)
        return self.pipeline(info)

    @force_full_init
    @in_one_storage
    def __getitems__(self, indices: Sequence[int]) -> list[dict]:
        """The packed samples of a batch of clips, each video read once.

        Args:
            indices (Sequence[int]): Clip indices, a :class:`ClipBatch` for
                reproducible draws.

        Returns:
            list[dict]: One a clip, in the order asked for. Where a video
            could not be read, the clips of the one that replaces it, which
            may be more or fewer.
        """
        batch = ClipBatch.of(indices)
        located = [self.data_list.locate(idx) for idx in batch]
        wanted: dict[int, list[int]] = defaultdict(list)
        for video, clip in located:
            wanted[video].append(clip)
        samples = {}
        taken = set(wanted)
        for video, clips in wanted.items():
            try:
                samples[video] = self._load_clips(video, clips, batch)
            except UnreadableVideo as error:
                if self.test_mode:
                    raise
                samples[video] = self._replacement.load_another(
                    video, clips, batch, taken, error
                )
                name = self._video_info(video)['filename']
                for sample in samples[video]:
                    sample['data_samples'].set_metainfo(dict(replaces=name))
        if all(len(samples[v]) == len(clips) for v, clips in wanted.items()):
            queues = {video: iter(clips) for video, clips in samples.items()}
            return [next(queues[video]) for video, _ in located]
        return [sample for clips in samples.values() for sample in clips]

    def _load_clips(
        self, video: int, clips: Sequence[int], batch: ClipBatch
    ) -> list[dict]:
        """Read clips of one video in one pass and pack each."""
        info = dict(self._video_info(video), video_id=video)
        name = self._name(video)
        with self._replacement.watch.reading(video, self.max_read_seconds):
            # Taken when called: stock tools put in another pipeline.
            return self._reader.load(
                info, name, clips, batch, self.pipeline.transforms
            )

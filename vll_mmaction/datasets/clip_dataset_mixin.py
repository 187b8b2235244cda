"""What datasets whose items are clips share: clip table, reading, packing.

An item is one clip, so that a batch has the shape every stock recognizer
takes; a batch's clips of one video are read in one pass.
"""

import copy
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

import numpy as np
import torch
from mmaction.datasets.transforms import FormatShape, PackActionInputs
from mmengine.dataset import Compose, force_full_init
from mmengine.fileio import list_from_file
from mmengine.logging import print_log

from ..video_io.clip_array import PlanarClips, shared_empty
from ..video_io.read_watch import ReadWatch
from .samplers.clip_batch import (
    ClipBatch,
    ClipDraws,
    draw_key,
    kept_generators,
    seed_generators,
)
from .transforms.clip_sampling import ClipSampling, SampleVideoClips

# How many other videos are tried in place of one that cannot be read.
MAX_REPLACEMENTS = 10
# How many bad videos are named where a file lists all.
MAX_LISTED = 50
# Leads the seed of the draw of a replacement, apart from those of clips.
REPLACEMENT = 2**31


class UnreadableVideo(RuntimeError):
    """A video could not be read; holds which and why."""


def _unreadable(
    name: str, transform: Callable, error: Exception
) -> UnreadableVideo:
    return UnreadableVideo(
        f'{name} failed in {type(transform).__name__}: '
        f'{type(error).__name__}: {str(error)[:300]}'
    )


def _only_pack(transforms: Sequence[Callable]) -> bool:
    """Whether transforms leave pixels as they are, and draw nothing."""
    return [type(transform) for transform in transforms] == [
        FormatShape,
        PackActionInputs,
    ] and transforms[0].input_format == 'NCTHW'


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

    A subclass has ``_parse_line``, which reads a line of the annotation file
    into a dict with ``filename``, ``label`` and ``line``, and ``filter_data``,
    which adds ``total_frames`` and leaves out videos that cannot be used.

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
        kwargs: Further arguments of the stock dataset.

    Raises:
        ValueError: On a bad annotation line, on too many unusable videos, or
            without ``SampleVideoClips``; the message names file and line.
    """

    def __init__(
        self,
        ann_file: str,
        pipeline: list[Union[dict, Callable]],
        per_video_augmentation: bool = False,
        max_bad_videos: float = 0.05,
        max_read_seconds: float = 600,
        **kwargs: Any,
    ) -> None:
        if kwargs.get('multi_class'):
            raise ValueError(
                f'{type(self).__name__} takes one label a video: '
                'multi_class=True is not supported, since the consistent '
                'constraint has no meaning for several labels.'
            )
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
        self._input_shape: Optional[torch.Size] = None
        self._unreadable: dict[int, str] = {}
        super().__init__(ann_file, pipeline=pipeline, **kwargs)

    # ----------------------------------------------------------------- videos

    def full_init(self) -> None:
        """Load annotations and frame counts, and make the clip table."""
        if self._fully_initialized:
            return
        super().full_init()
        self._build_clip_table()

    def load_data_list(self) -> list[dict]:
        """Read the annotation file, checking each line."""
        try:
            lines = list_from_file(self.ann_file)
        except FileNotFoundError:
            raise FileNotFoundError(
                f'There is no annotation file {self.ann_file}. Set ann_file '
                'and data_root of the dataset, or make it: a line '
                'path label a video.'
            ) from None
        except UnicodeDecodeError as error:
            number = error.object[: error.start].count(b'\n') + 1
            raise ValueError(
                f'{self.ann_file}, line {number}: {error}. Save the file as '
                'UTF-8.'
            ) from None
        # Some editors lead UTF-8 with a mark, which is not part of the path.
        lines[:1] = [line.lstrip('\ufeff') for line in lines[:1]]
        data_list = []
        for number, line in enumerate(lines, 1):
            if line.strip():
                data_list.append(self._parse_line(line.strip(), number))
        if not data_list:
            raise ValueError(f'{self.ann_file} lists no videos.')
        return data_list

    def _parse_label(self, text: str, where: str, wanted: str) -> int:
        """Label of an annotation line, checked.

        Args:
            text (str): What stands for the label.
            where (str): File and line, for messages.
            wanted (str): What a line should look like, for messages.

        Returns:
            int: The label.

        Raises:
            ValueError: It is no whole number, or out of range.
        """
        try:
            label = int(text)
        except ValueError:
            raise ValueError(
                f'{where}: the label {text!r} is not a whole number. '
                f'Wanted: {wanted}'
            ) from None
        limit = self.num_classes
        if label < 0 or (limit is not None and label >= limit):
            allowed = 'at least 0' if limit is None else f'0 to {limit - 1}'
            raise ValueError(
                f'{where}: the label {label} is out of range ({allowed}). '
                'Correct the line, or `num_classes` in the config.'
            )
        return label

    def _report_bad(
        self, bad: list[str], total: int, report: str = ''
    ) -> None:
        """Say which videos cannot be used; stop if they are too many.

        Args:
            bad (list[str]): Those videos, each with its reason.
            total (int): Number of all videos.
            report (str): File that lists them, too.
        """
        shown = bad[:MAX_LISTED] if report else list(bad)
        if len(shown) < len(bad):
            shown.append(f'and {len(bad) - len(shown)} more')
        listed = '\n  '.join(shown)
        message = f'{len(bad)} of {total} videos cannot be used:\n  {listed}'
        if report:
            message += f'\nThe full list is in {report}.'
        if len(bad) > self.max_bad_videos * total or len(bad) == total:
            raise ValueError(
                f'{message}\nThat is more than max_bad_videos='
                f'{self.max_bad_videos:g} of them. Correct the annotation '
                'file or the videos, or raise max_bad_videos.'
            )
        print_log(
            f'{message}\nThey are left out.', 'current', level=logging.WARNING
        )

    # ------------------------------------------------------------------ clips

    @property
    def clip_sampling(self) -> ClipSampling:
        """ClipSampling: The rule of the pipeline's ``SampleVideoClips``."""
        for transform in self.pipeline.transforms:
            if isinstance(transform, SampleVideoClips):
                return transform.sampling
        raise ValueError(
            f'The pipeline of a {type(self).__name__} needs the transform '
            "dict(type='SampleVideoClips'); it has "
            f'{[type(t).__name__ for t in self.pipeline.transforms]}'
        )

    def _build_clip_table(self) -> None:
        num_videos = super().__len__()
        frames = np.empty(num_videos, dtype=np.int64)
        self._labels = np.empty(num_videos, dtype=np.int64)
        for video in range(num_videos):
            info = self._video_info(video)
            frames[video] = info['total_frames']
            self._labels[video] = info['label']
        self._clip_counts = self.clip_sampling.count(frames)
        self._clip_ends = np.cumsum(self._clip_counts)
        self._watch = ReadWatch(num_videos, self._name)

    @property
    @force_full_init
    def clip_counts(self) -> np.ndarray:
        """np.ndarray: (num_videos,) int64, number of clips of each video."""
        return self._clip_counts

    @property
    @force_full_init
    def labels(self) -> np.ndarray:
        """np.ndarray: (num_videos,) int64, label of each video."""
        return self._labels

    @force_full_init
    def __len__(self) -> int:
        """Number of clips."""
        return int(self._clip_ends[-1]) if len(self._clip_ends) else 0

    def _locate(self, idx: int) -> tuple[int, int]:
        """Video and clip number of a clip index."""
        idx = int(idx)
        if not -len(self) <= idx < len(self):
            raise IndexError(
                f'clip index {idx} is out of range: there are {len(self)}'
            )
        idx %= len(self)
        video = int(np.searchsorted(self._clip_ends, idx, side='right'))
        start = self._clip_ends[video] - self._clip_counts[video]
        return video, int(idx - start)

    def _video_info(self, video: int) -> dict:
        return super().get_data_info(video)

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
        video, clip = self._locate(idx)
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
        super().get_subset_(self._video_numbers(indices))
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
        subset = super().get_subset(self._video_numbers(indices))
        subset._build_clip_table()
        return subset

    def _copy_without_annotation(
        self, memo: Optional[dict] = None
    ) -> 'ClipDatasetMixin':
        # The stock default is one dict for all calls, which would hand the
        # copies of an earlier subset to a later one.
        return super()._copy_without_annotation({} if memo is None else memo)

    def _video_numbers(self, indices: Union[Sequence[int], int]) -> list[int]:
        num_videos = len(self._clip_counts)
        numbers = np.arange(num_videos)
        try:
            if isinstance(indices, (int, np.integer)):
                if abs(indices) > num_videos:
                    raise IndexError
                chosen = (
                    numbers[:indices] if indices >= 0 else numbers[indices:]
                )
            else:
                chosen = numbers[np.asarray(indices, dtype=np.int64)]
        except IndexError:
            raise IndexError(
                f'indices {indices} choose videos beyond the {num_videos} '
                'there are'
            ) from None
        return chosen.tolist()

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
        wanted: dict[int, list[int]] = defaultdict(list)
        for idx in batch:
            video, clip = self._locate(idx)
            wanted[video].append(clip)
        samples = {}
        for video, clips in wanted.items():
            try:
                samples[video] = self._load_clips(video, clips, batch)
            except UnreadableVideo as error:
                samples[video] = self._load_another(
                    video, clips, batch, set(wanted), error
                )
        if all(len(samples[v]) == len(clips) for v, clips in wanted.items()):
            queues = {video: iter(clips) for video, clips in samples.items()}
            return [next(queues[self._locate(idx)[0]]) for idx in batch]
        return [sample for clips in samples.values() for sample in clips]

    def _load_clips(
        self, video: int, clips: Sequence[int], batch: ClipBatch
    ) -> list[dict]:
        """Read clips of one video in one pass and pack each."""
        # Split when called: stock tools put in another pipeline.
        transforms = self.pipeline.transforms
        info = self._video_info(video)
        key = draw_key(batch.key, video)
        info.update(video_id=video, clip_ids=np.asarray(clips))
        info['clip_rng'] = np.random.default_rng(key)
        # For readers that crop while they read.
        info['clip_draws'] = [
            ClipDraws(
                key if self.per_video_augmentation else (*key, int(clip))
            )
            for clip in clips
        ]
        watch = self._watch.reading(video, self.max_read_seconds)
        with watch, kept_generators():
            seed_generators(key)
            results, rest = self._read(video, info, transforms)
            return self._pack_clips(results, rest, clips, batch)

    def _pack_clips(
        self,
        results: dict,
        rest: Sequence[Callable],
        clips: Sequence[int],
        batch: ClipBatch,
    ) -> list[dict]:
        """Run the transforms that follow the reading, for each clip."""
        frames, clip_len = results['imgs'], results['clip_len']
        inputs, label, samples = None, None, []
        for number, clip in enumerate(clips):
            part = slice(number * clip_len, (number + 1) * clip_len)
            one = copy.copy(results)
            one['imgs'] = frames[part]
            one['frame_inds'] = results['frame_inds'][part]
            one.update(num_clips=1, clip_id=int(clip))
            if 'clip_updates' in results:
                one.update(results['clip_updates'][number])
            results['clip_draws'][number].go_on()
            packed = self._pack(one, rest)
            if isinstance(frames, PlanarClips) and frames.holds(
                number, packed['inputs']
            ):
                packed['inputs'] = frames.tensor[number : number + 1]
            else:
                if inputs is None:
                    inputs = shared_empty(
                        (len(clips), *packed['inputs'].shape),
                        packed['inputs'].dtype,
                    )
                inputs[number] = packed['inputs']
                packed['inputs'] = inputs[number]
            sample = packed['data_samples']
            if label is None:
                label = sample.gt_label
            if torch.equal(sample.gt_label, label):
                sample.gt_label = label
            sample.set_metainfo(
                dict(
                    video_id=results['video_id'] + batch.video_offset,
                    clip_id=int(clip),
                    filename=results['filename'],
                    frame_inds=one['frame_inds'],
                    total_frames=int(results['total_frames']),
                )
            )
            samples.append(packed)
        return samples

    def _read(
        self, video: int, info: dict, transforms: Sequence[Callable]
    ) -> tuple[dict, Sequence[Callable]]:
        """Run the transforms that read the video, up to the first ``imgs``."""
        results, rest = dict(info), list(transforms)
        name = self._name(video)
        while 'imgs' not in results:
            if not rest:
                raise ValueError('No transform of the pipeline reads `imgs`.')
            transform = rest.pop(0)
            results['planar_clips'] = _only_pack(rest)
            try:
                results = transform(results)
            except Exception as error:
                raise _unreadable(name, transform, error) from error
            if results is None:
                raise UnreadableVideo(
                    f'{name}: {type(transform).__name__} gave None'
                )
        if results['total_frames'] != info['total_frames']:
            raise UnreadableVideo(
                f'{name} has {results["total_frames"]} frames, '
                f'{info["total_frames"]} when it was indexed'
            )
        wanted = len(results['frame_inds'])
        if len(results['imgs']) != wanted:
            raise UnreadableVideo(
                f'{name} gave {len(results["imgs"])} frames of the {wanted} '
                'asked for'
            )
        # All frames of one array have one shape; to look at each takes time.
        imgs = results['imgs']
        one_array = isinstance(imgs, (np.ndarray, PlanarClips))
        shapes = {
            np.shape(frame) for frame in ([imgs[0]] if one_array else imgs)
        }
        # A file that is no image is decoded to None.
        if any(len(shape) != 3 for shape in shapes):
            raise UnreadableVideo(f'{name} has a frame that is no image')
        if len(shapes) > 1:
            # Transforms take the size of the first for that of all.
            raise UnreadableVideo(f'{name}: its frames change their size')
        return results, rest

    def _pack(self, results: dict, transforms: Sequence[Callable]) -> dict:
        """Run the transforms of one clip and check what comes out."""
        where = f'{results["filename"]}, clip {results["clip_id"]}'
        for transform in transforms:
            try:
                results = transform(results)
            except Exception as error:
                raise _unreadable(where, transform, error) from error
            if results is None:
                # BaseDataset would fetch a random other clip here, which
                # would be a foreign clip in this video's batch.
                raise ValueError(f'{where}: {transform} gave None')
        if not isinstance(results.get('inputs'), torch.Tensor):
            raise ValueError(
                f'The pipeline of a {type(self).__name__} must end with '
                "dict(type='PackActionInputs')."
            )
        shape = results['inputs'].shape
        if self._input_shape is None:
            self._input_shape = shape
        if shape != self._input_shape:
            raise ValueError(
                f'{where} has shape {tuple(shape)}, clips before had '
                f'{tuple(self._input_shape)}: all clips must have one size. '
                'End the pipeline in a crop or resize to a fixed size.'
            )
        return results

    # ----------------------------------------------------------- replacements

    def _load_another(
        self,
        video: int,
        clips: Sequence[int],
        batch: ClipBatch,
        taken: set,
        error: UnreadableVideo,
    ) -> list[dict]:
        """Clips of another video in place of one that cannot be read.

        The other one is drawn from (seed, epoch, video) and is none of the
        batch's, so that no video's clips mix with another's. If all clips of
        the video were asked for, all of the other come.
        """
        if self.test_mode:
            raise error
        whole = len(clips) == self._clip_counts[video]
        failed = self._video_info(video)['filename']
        rng = np.random.default_rng(draw_key(batch.key, REPLACEMENT, video))
        order = rng.permutation(len(self._clip_counts)).tolist()
        others = [other for other in order if other not in taken]
        for other in others[:MAX_REPLACEMENTS]:
            self._note_unreadable(video, error)
            count = int(self._clip_counts[other])
            chosen = np.arange(count)
            if not whole:
                chosen = np.sort(rng.permutation(count)[: len(clips)])
            try:
                samples = self._load_clips(other, chosen.tolist(), batch)
            except UnreadableVideo as next_error:
                video, error = other, next_error
                continue
            taken.add(other)
            for sample in samples:
                sample['data_samples'].set_metainfo(dict(replaces=failed))
            # As an error, since other ranks than 0 print nothing else.
            print_log(
                f'{error}. {self._name(other)} takes its place. '
                f'Unreadable so far: {int(self._watch.unreadable.sum())} of '
                f'{len(self._clip_counts)}.',
                'current',
                level=logging.ERROR,
            )
            return samples
        raise error

    def _note_unreadable(self, video: int, error: UnreadableVideo) -> None:
        """Count a bad video; too many of them end the training."""
        self._unreadable[video] = str(error)
        self._watch.unreadable[video] = 1
        limit = int(self.max_bad_videos * len(self._clip_counts))
        if self.max_bad_videos:
            limit = max(1, limit)
        bad = self._watch.unreadable.nonzero().flatten().tolist()
        if len(bad) > limit:
            listed = '\n  '.join(
                self._unreadable.get(
                    number, f'{self._name(number)}: see the log above'
                )
                for number in bad
            )
            raise RuntimeError(
                f'{len(bad)} videos could not be read, more than '
                f'max_bad_videos={self.max_bad_videos:g} of '
                f'{len(self._clip_counts)}:\n  {listed}'
            ) from error

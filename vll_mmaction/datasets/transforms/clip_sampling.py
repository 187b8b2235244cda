"""Which frames make clip j of a video: one rule, shared by all.

:class:`ClipSampling` is the rule, :class:`SampleVideoClips` the transform that
applies it inside a pipeline. The clip table of ``VideoClipDataset`` is made
from the same object, so that index, dataset and transform cannot disagree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

KEEP = ('first', 'uniform', 'random')
SHORT = ('loop', 'repeat_last')


def _check_positive_int(name: str, value: Any, or_none: bool = False) -> None:
    if or_none and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        allowed = 'a positive int' + (' or None' if or_none else '')
        raise TypeError(f'{name} must be {allowed}, got {value!r}')
    if value < 1:
        raise ValueError(f'{name} must be at least 1, got {value}')


@dataclass(frozen=True)
class ClipSampling:
    """Cuts a video of n frames into consecutive clips (Sec. 3.1, Fig. 2).

    A clip is ``clip_len`` frames, ``frame_interval`` apart; the next clip
    starts ``clip_stride`` frames later. A tail shorter than a clip is
    dropped, so that at the defaults a video has m = max(1, floor(n / 16))
    clips. A video shorter than one clip makes exactly one, by ``short``.

    Args:
        clip_len (int): Frames in a clip. Defaults to 16.
        frame_interval (int): Distance of neighbouring frames of a clip, in
            frames. Defaults to 1.
        clip_stride (int, optional): Distance of the starts of neighbouring
            clips, in frames. None means clips that do not overlap:
            ``clip_len * frame_interval``. Defaults to None.
        max_clips (int, optional): Largest number of clips kept of a video.
            None keeps all. Defaults to None.
        keep (str): Which clips of a longer video are kept: its ``'first'``,
            those at the centres of ``max_clips`` equal parts (``'uniform'``),
            or a ``'random'`` choice in ascending order. Defaults to
            ``'first'``.
        short (str): How a video shorter than a clip fills it: from its start
            again (``'loop'``) or by its last frame (``'repeat_last'``).
            Defaults to ``'loop'``.

    Example:
        >>> rule = ClipSampling(clip_len=3)
        >>> [int(rule.count(frames)) for frames in (2, 8, 9)]
        [1, 2, 3]
        >>> rule.frame_inds(8).tolist()
        [[0, 1, 2], [3, 4, 5]]
        >>> rule.frame_inds(2).tolist()
        [[0, 1, 0]]
    """

    clip_len: int = 16
    frame_interval: int = 1
    clip_stride: Optional[int] = None
    max_clips: Optional[int] = None
    keep: str = 'first'
    short: str = 'loop'

    def __post_init__(self) -> None:
        _check_positive_int('clip_len', self.clip_len)
        _check_positive_int('frame_interval', self.frame_interval)
        _check_positive_int('clip_stride', self.clip_stride, or_none=True)
        _check_positive_int('max_clips', self.max_clips, or_none=True)
        if self.keep not in KEEP:
            raise ValueError(f'keep must be one of {KEEP}, got {self.keep!r}')
        if self.short not in SHORT:
            raise ValueError(
                f'short must be one of {SHORT}, got {self.short!r}'
            )

    @property
    def span(self) -> int:
        """Frames from the first to the last frame of a clip, both counted."""
        return (self.clip_len - 1) * self.frame_interval + 1

    @property
    def stride(self) -> int:
        """Frames from the start of a clip to the start of the next."""
        return self.clip_stride or self.clip_len * self.frame_interval

    def _num_candidates(
        self, total_frames: Union[int, np.ndarray]
    ) -> np.ndarray:
        return np.maximum((total_frames - self.span) // self.stride + 1, 1)

    def count(self, total_frames: Union[int, np.ndarray]) -> np.ndarray:
        """Number of clips of videos.

        Args:
            total_frames (int or np.ndarray): Frames of a video, or of many.

        Returns:
            np.ndarray: int64, of the shape of ``total_frames``.
        """
        total_frames = np.asarray(total_frames, dtype=np.int64)
        if (total_frames < 1).any():
            raise ValueError('a video without frames has no clips')
        count = self._num_candidates(total_frames)
        if self.max_clips is not None:
            count = np.minimum(count, self.max_clips)
        return count.astype(np.int64)

    def frame_inds(
        self,
        total_frames: int,
        clip_ids: Optional[Sequence[int]] = None,
        rng: Optional[np.random.Generator] = None,
    ) -> np.ndarray:
        """Frame numbers of clips of one video, counted from 0.

        Args:
            total_frames (int): Frames of the video.
            clip_ids (Sequence[int], optional): Numbers of the clips wanted,
                each below ``count(total_frames)``. None means all.
            rng (np.random.Generator, optional): Source of the choice of
                ``keep='random'``; the same state gives the same choice for
                every clip of the video. Needed in that mode only.

        Returns:
            np.ndarray: (len(clip_ids), clip_len) int64.
        """
        count = int(self.count(total_frames))
        wanted = np.asarray(
            np.arange(count) if clip_ids is None else clip_ids, dtype=np.int64
        )
        if wanted.size and not 0 <= wanted.min() <= wanted.max() < count:
            raise IndexError(
                f'clips {wanted.tolist()} were asked of a video of '
                f'{total_frames} frames, which has clips 0 to {count - 1}'
            )
        starts = self._kept(int(self._num_candidates(total_frames)), rng)
        starts = starts[wanted] * self.stride
        inds = starts[:, None] + np.arange(self.clip_len) * self.frame_interval
        if self.short == 'loop':
            return inds % total_frames
        return np.minimum(inds, total_frames - 1)

    def _kept(
        self, candidates: int, rng: Optional[np.random.Generator]
    ) -> np.ndarray:
        """Numbers of the kept clips among all that the video could give."""
        if self.max_clips is None or candidates <= self.max_clips:
            return np.arange(candidates)
        if self.keep == 'first':
            return np.arange(self.max_clips)
        if self.keep == 'uniform':
            centres = np.arange(self.max_clips) + 0.5
            return (centres * candidates / self.max_clips).astype(np.int64)
        if rng is None:
            raise ValueError("keep='random' needs a random generator")
        return np.sort(rng.permutation(candidates)[: self.max_clips])


@TRANSFORMS.register_module()
class SampleVideoClips(BaseTransform):
    """Cut a video into consecutive clips.

    Used as it is in ``WholeVideoDataset`` for testing: a sample then holds
    all clips of a video. In ``VideoClipDataset`` it also defines the clips
    that are the dataset's items.

    Required Keys:

        - total_frames
        - start_index (optional)
        - clip_ids (optional): numbers of the clips wanted, default all
        - clip_rng (optional): ``np.random.Generator`` for ``keep='random'``

    Added Keys:

        - frame_inds: (num_clips * clip_len,) int64
        - clip_len
        - frame_interval
        - num_clips

    Args:
        kwargs: ``clip_len``, ``frame_interval``, ``clip_stride``,
            ``max_clips``, ``keep``, ``short`` of :class:`ClipSampling`.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.sampling = ClipSampling(**kwargs)

    def transform(self, results: dict) -> dict:
        """Set the frame indices of the clips.

        Args:
            results (dict): The result dict.

        Returns:
            dict: The same dict, with the keys above.
        """
        total_frames = results['total_frames']
        if total_frames < 1:
            raise ValueError(f'{results.get("filename")} has no frames')
        rng = results.get('clip_rng')
        if rng is None:
            # Outside VideoClipDataset there is no epoch: the choice then
            # depends on the video alone, as validation wants it.
            rng = np.random.default_rng(results.get('sample_idx', 0))
        inds = self.sampling.frame_inds(
            total_frames, results.get('clip_ids'), rng
        )
        results['frame_inds'] = inds.reshape(-1) + results.get(
            'start_index', 0
        )
        results['clip_len'] = self.sampling.clip_len
        results['frame_interval'] = self.sampling.frame_interval
        results['num_clips'] = len(inds)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.sampling})'

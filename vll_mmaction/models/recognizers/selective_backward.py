"""Gradient through a random share of each video's clips.

After Cheng et al., *Stochastic Backpropagation: A Memory Efficient Strategy
for Training Video Models*, CVPR 2022. There all is forward and a share is
backward; here the share is drawn in each video by itself, and weighted so that
the gradient is unbiased.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmaction.structures import ActionDataSample
from torch import Tensor

from ..losses.clip_grouping import send_to


def check_share(share: Any) -> None:
    """See that a share of clips is one.

    Args:
        share (float): ``train_cfg.backward_share``.

    Raises:
        TypeError: It is no number.
        ValueError: It is not above 0 and at most 1.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)):
        raise TypeError(f'backward_share must be a number, but got {share!r}')
    if not 0 < share <= 1:
        raise ValueError(
            'backward_share must be above 0 and at most 1, the share of a '
            f"video's clips that carry gradient, but got {share}"
        )


def draw_weights(
    video_ids: np.ndarray, share: float, key: Sequence[int]
) -> np.ndarray:
    """Draw the clips that carry gradient.

    Of a video's m clips k = max(1, round(share * m)) are drawn, each subset
    as likely as another, and weigh m / k. So the mean weight of a clip is 1.

    Args:
        video_ids (np.ndarray): Video of each clip, (M,) int64, at least 0.
        share (float): Above 0 and at most 1.
        key (Sequence[int]): What the draw of a video depends on, beside the
            video: integers from 0.

    Returns:
        np.ndarray: Weight of each clip's gradient, (M,) float32, 0 for those
        that carry none.

    Example:
        >>> import numpy as np
        >>> weights = draw_weights(np.array([5, 5, 5, 5, 9]), 0.5, key=[1, 2])
        >>> sorted(weights[:4].tolist()), weights[4].item()
        ([0.0, 0.0, 2.0, 2.0], 1.0)
    """
    weights = np.zeros(len(video_ids), np.float32)
    for video in np.unique(video_ids):
        clips = np.flatnonzero(video_ids == video)
        kept = max(1, round(share * len(clips)))
        rng = np.random.default_rng([*key, video])
        drawn = rng.choice(clips, kept, replace=False)
        weights[drawn] = len(clips) / kept
    return weights


def video_of_each(data_samples: Sequence[ActionDataSample]) -> np.ndarray:
    """Video of each data sample, (N,) int64.

    Args:
        data_samples (Sequence[ActionDataSample]): With ``video_id``.

    Returns:
        np.ndarray: The ids.

    Raises:
        ValueError: A sample has no ``video_id`` that is an integer from 0.
    """
    ids = [sample.get('video_id') for sample in data_samples]
    for video_id in ids:
        known = isinstance(video_id, (int, np.integer)) and video_id >= 0
        if not known:
            raise ValueError(
                "backward_share draws from each video's clips and needs an "
                "integer 'video_id' in the meta info of each data sample, but "
                f'got {video_id!r}: train on a VideoClipDataset, and keep '
                "'video_id' in the meta_keys of PackActionInputs"
            )
    return np.asarray(ids, np.int64)


def weigh_gradient(features: Any, weights: Tensor) -> None:
    """Scale the gradient that comes back to features of clips.

    Args:
        features (Tensor | tuple | list | dict): Of n clips, nested or not;
            each tensor has n rows, or a multiple, a clip's side by side.
        weights (Tensor): (n,) float32, on the CPU.
    """
    if isinstance(features, Tensor):
        if features.requires_grad:
            features.register_hook(_Scaling(weights))
        return
    parts = features.values() if isinstance(features, dict) else features
    for part in parts:
        weigh_gradient(part, weights)


class _Scaling:
    """Gradient of some rows of each clip, times the clip's weight."""

    def __init__(self, weights: Tensor) -> None:
        self._weights = weights

    def __call__(self, grad: Tensor) -> Tensor:
        weights = send_to(self._weights, grad.device)
        weights = weights.repeat_interleave(len(grad) // len(weights))
        # In float32, since half precision would round the weights.
        scaled = grad * weights.view(-1, *[1] * (grad.dim() - 1))
        return scaled.to(grad.dtype)

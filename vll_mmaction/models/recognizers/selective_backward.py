"""Gradient through a random share of each video's clips.

After Cheng et al., *Stochastic Backpropagation: A Memory Efficient Strategy
for Training Video Models*, CVPR 2022. There all is forward and a share is
backward; here the share is drawn in each video by itself, and weighted so that
the gradient is unbiased.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from ..losses.clip_grouping import send_to


def check_share(share: Any) -> None:
    """Refuse a ``train_cfg.backward_share`` that is no share of clips."""
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
        np.ndarray: (M,) float32, 0 for clips without gradient.

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


def weigh_gradient(features: Any, weights: Tensor) -> None:
    """Scale the gradient that comes back to features of clips.

    Args:
        features (Tensor | tuple | list | dict): Of n clips, nested or not;
            each tensor has n rows, or a multiple, a clip's side by side.
        weights (Tensor): (n,) float32, on the CPU.
    """
    if isinstance(features, Tensor):
        if features.requires_grad:
            features.register_hook(partial(_scaled, weights))
        return
    parts = features.values() if isinstance(features, dict) else features
    for part in parts:
        weigh_gradient(part, weights)


def _scaled(weights: Tensor, grad: Tensor) -> Tensor:
    """Gradient of some rows of each clip, times the clip's weight."""
    weights = send_to(weights, grad.device)
    weights = weights.repeat_interleave(len(grad) // len(weights))
    # In float32, since half precision would round the weights.
    scaled = grad * weights.view(-1, *[1] * (grad.dim() - 1))
    return scaled.to(grad.dtype)

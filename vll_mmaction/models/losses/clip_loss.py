"""What all losses over the clips of videos share: checks and precision.

A loss is a function of logits (M, K), labels and videos under
:func:`clip_loss`, and a thin module over it.
"""

import functools
import inspect
from numbers import Real
from typing import Callable, Optional, TypeVar

import torch
from torch import Tensor, nn

from .batch_videos import BatchVideos
from .clip_grouping import VideoIds, groups_of, send_to

Loss = TypeVar('Loss')


def clip_loss(function: Callable[..., Loss]) -> Callable[..., Loss]:
    """Check what a loss is called with; call it in full precision.

    Args:
        function (Callable): Gets logits (M, K), float32 or float64; labels on
            their device, (M,) int64 or (M, K) of the logits' type; a
            :class:`BatchVideos`; and options. Autocast is off.

    Returns:
        Callable: Takes logits of any floating type, and for the videos ids
        (M,) or None, for one video. It raises ``TypeError`` and
        ``ValueError`` as :func:`consistent_constraint_loss` says.
    """

    @functools.wraps(function)
    def loss(
        cls_score: Tensor,
        label: Tensor,
        video_ids: Optional[VideoIds] = None,
        **options: object,
    ) -> Loss:
        label = _check_batch(cls_score, label)
        groups = groups_of(video_ids, label)
        with torch.autocast(cls_score.device.type, enabled=False):
            if cls_score.dtype != torch.float64:
                cls_score = cls_score.float()
            if label.is_floating_point():
                label = label.to(cls_score.dtype)
            videos = BatchVideos(groups, cls_score)
            return function(cls_score, label, videos, **options)

    return loss


def takes(loss: nn.Module, name: str) -> bool:
    """Whether a loss is called with something beside scores and labels.

    Such as ``video_ids``, the video of each clip: its ``forward`` says so.
    """
    return name in inspect.signature(loss.forward).parameters


def check_option(name: str, value: object, allowed: tuple) -> None:
    """Refuse a value that is none of those an option may have, of one type."""
    if type(value) is not type(allowed[0]) or value not in allowed:
        raise ValueError(
            f'{name} must be one of {", ".join(map(repr, allowed))}, but '
            f'got {value!r}'
        )


def check_weight(name: str, value: float) -> None:
    """Refuse a share of a loss that is no number, or not from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f'{name} must be a number, but got {value!r}')
    if not 0 <= value <= 1:
        raise ValueError(f'{name} must be in [0, 1], but got {value}')


def _check_batch(cls_score: Tensor, label: Tensor) -> Tensor:
    """Check shapes, types and, on the CPU, the range of the labels.

    Returns them on the device of the scores, int64 or floating.
    """
    for name, value in (('cls_score', cls_score), ('label', label)):
        if not isinstance(value, Tensor):
            raise TypeError(f'{name} must be a Tensor, but got {type(value)}')
    if cls_score.dim() != 2 or not cls_score.is_floating_point():
        raise ValueError(
            'cls_score must be floating-point logits of shape (M, K), but '
            f'got {cls_score.dtype} of shape {tuple(cls_score.shape)}'
        )
    if cls_score.numel() == 0:
        raise ValueError(
            'cls_score must hold at least one clip and one class, but got '
            f'shape {tuple(cls_score.shape)}'
        )
    num_clips, num_classes = cls_score.shape
    soft = label.is_floating_point()
    expected = (num_clips, num_classes) if soft else (num_clips,)
    if tuple(label.shape) != expected or label.dtype == torch.bool:
        raise ValueError(
            f'label must be integers of shape ({num_clips},) or soft labels, '
            f'floating point, of shape ({num_clips}, {num_classes}), but got '
            f'{label.dtype} of shape {tuple(label.shape)}'
        )
    if soft:
        return send_to(label, cls_score.device)
    # On a GPU the check would wait for it; there, cross_entropy asserts. A
    # compiled graph has no values to look at.
    if label.device.type == 'cpu' and not torch.compiler.is_compiling():
        for value in (int(label.min()), int(label.max())):
            if not 0 <= value < num_classes:
                raise ValueError(
                    f'label {value} is out of range for {num_classes} '
                    f'classes: labels must be in 0...{num_classes - 1}'
                )
    return send_to(label, cls_score.device, torch.int64)

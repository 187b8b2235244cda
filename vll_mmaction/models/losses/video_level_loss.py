"""The video-level loss of Shi et al. 2020, Eq. 3: cross-entropy and a term."""

from collections.abc import Sequence
from typing import Callable, Optional

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from .batch_videos import BatchVideos, of_label
from .clip_grouping import VideoIds, send_to
from .clip_loss import check_weight, clip_loss
from .consistency import consistent_constraint_loss


@clip_loss
def video_level_loss(
    cls_score: Tensor,
    label: Tensor,
    video_ids: BatchVideos,
    *,
    alpha: float = 0.3,
    ccl: Callable[..., Tensor] = consistent_constraint_loss,
    class_weight: Optional[Tensor] = None,
) -> dict[str, Tensor]:
    r"""Video-level loss, Shi et al. 2020, Eq. 3, as its two terms.

    :math:`(1 - \alpha)` times the cross-entropy, mean over the clips of a
    video and then over the videos, and :math:`\alpha` times the consistent
    constraint loss. A video weighs the same however many clips it has.

    Args:
        cls_score (Tensor): Logits, (M, K) floating point.
        label (Tensor): Classes, (M,) integers in 0...K-1, or soft labels,
            (M, K) floating point.
        video_ids (Tensor | sequence | ndarray, optional): (M,) integers,
            equal for the clips of one video. None takes the batch as one
            video. See :func:`consistent_constraint_loss`.
        alpha (float): Weight of the consistent constraint loss, 0 to 1.
        ccl (Callable): Called as ``ccl(cls_score, label, video_ids)``.
        class_weight (Tensor, optional): Weight of each class in the
            cross-entropy, (K,), by whose sum over the batch it is divided:
            of one clip a video, that is ``torch.nn.CrossEntropyLoss``. The
            consistent constraint is not weighted.

    Returns:
        dict[str, Tensor]: The weighted terms ``loss_ce`` and ``loss_ccl``,
        scalars, float32 or, for float64 logits, float64.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: As in :func:`consistent_constraint_loss`.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
        >>> label = torch.tensor([0, 0, 1])
        >>> terms = video_level_loss(logits, label, [7, 7, 8], alpha=0.3)
        >>> {name: round(term.item(), 4) for name, term in terms.items()}
        {'loss_ce': 0.7127, 'loss_ccl': 0.2045}
    """
    check_weight('alpha', alpha)
    log_prob = cls_score.log_softmax(dim=1)
    if class_weight is None:
        loss_ce = -video_ids.average(of_label(log_prob, label))
    else:
        weight = _of_classes(class_weight, log_prob)
        loss_ce = -video_ids.average(of_label(weight * log_prob, label))
        loss_ce = loss_ce / video_ids.average(of_label(weight, label))
    # A term of a user's own knows ids; pairs are there for a compiled one.
    groups = video_ids.groups
    known = groups.first is not None
    loss_ccl = ccl(cls_score, label, groups if known else groups.video)
    return dict(loss_ce=(1 - alpha) * loss_ce, loss_ccl=alpha * loss_ccl)


def _of_classes(class_weight: Tensor, scores: Tensor) -> Tensor:
    """Weights of classes for each clip, (K,) to (M, K)."""
    if class_weight.shape != scores.shape[1:]:
        raise ValueError(
            f'class_weight must be one weight for each of {scores.shape[1]} '
            f'classes, but has shape {tuple(class_weight.shape)}'
        )
    weight = send_to(class_weight, scores.device, scores.dtype)
    return weight.expand_as(scores)


@MODELS.register_module()
class VideoLevelLoss(nn.Module):
    """Video-level loss, Shi et al. 2020, Eq. 3.

    Args:
        alpha (float): Weight of the consistent constraint loss, 0 to 1; 0 is
            video-level cross-entropy. Defaults to 0.3.
        ccl (dict): Config of the consistent constraint loss, or of another
            term, such as :class:`VideoPredictionLoss`. Defaults to
            ``dict(type='ConsistentConstraintLoss')``.
        class_weight (Sequence[float], optional): Weight of each class in the
            cross-entropy, as of stock ``CrossEntropyLoss``: more than 1 for
            rare ones. Defaults to None.

    Raises:
        TypeError: ``alpha`` is no number.
        ValueError: ``alpha`` is out of range, or a weight is not positive.
    """

    def __init__(
        self,
        alpha: float = 0.3,
        ccl: Optional[dict] = None,
        class_weight: Optional[Sequence[float]] = None,
    ) -> None:
        super().__init__()
        check_weight('alpha', alpha)
        self.alpha = alpha
        if ccl is None:
            ccl = dict(type='ConsistentConstraintLoss')
        self.ccl = MODELS.build(ccl)
        if class_weight is not None and not min(class_weight) > 0:
            raise ValueError(
                f'class_weight must be positive, but got {class_weight}'
            )
        # A setting, not what was learnt: no checkpoint holds it.
        weight = None if class_weight is None else torch.Tensor(class_weight)
        self.register_buffer('class_weight', weight, persistent=False)

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        video_ids: Optional[VideoIds] = None,
    ) -> dict[str, Tensor]:
        """See :func:`video_level_loss`."""
        return video_level_loss(
            cls_score,
            label,
            video_ids,
            alpha=self.alpha,
            ccl=self.ccl,
            class_weight=self.class_weight,
        )

    def extra_repr(self) -> str:
        return f'alpha={self.alpha}'

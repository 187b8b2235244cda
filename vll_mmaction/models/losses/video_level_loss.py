"""The video-level loss of Shi et al. 2020, Eq. 3: cross-entropy and a term."""

from numbers import Real
from typing import Callable, Optional

import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .clip_grouping import ClipGroups, VideoIds, send_to
from .clip_loss import clip_loss
from .consistency import consistent_constraint_loss


@clip_loss
def video_level_loss(
    cls_score: Tensor,
    label: Tensor,
    video_ids: ClipGroups,
    *,
    alpha: float = 0.3,
    ccl: Callable[..., Tensor] = consistent_constraint_loss,
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
    _check_alpha(alpha)
    groups = video_ids
    if label.dim() == 1:
        loss_ce = F.cross_entropy(cls_score, label, reduction='none')
    else:
        loss_ce = -(label * cls_score.log_softmax(dim=1)).sum(dim=1)
    counts = groups.counts.double()
    weight = 1 / (counts[groups.video] * len(counts))
    weight = send_to(weight, cls_score.device, cls_score.dtype)
    loss_ce = (loss_ce * weight).sum()
    # A term of a user's own knows ids; pairs are there for a compiled one.
    known = groups.first is not None
    loss_ccl = ccl(cls_score, label, groups if known else groups.video)
    return dict(loss_ce=(1 - alpha) * loss_ce, loss_ccl=alpha * loss_ccl)


@MODELS.register_module()
class VideoLevelLoss(nn.Module):
    """Video-level loss, Shi et al. 2020, Eq. 3.

    Args:
        alpha (float): Weight of the consistent constraint loss, 0 to 1; 0 is
            video-level cross-entropy. Defaults to 0.3.
        ccl (dict): Config of the consistent constraint loss. Defaults to
            ``dict(type='ConsistentConstraintLoss')``.
    """

    def __init__(self, alpha: float = 0.3, ccl: Optional[dict] = None) -> None:
        super().__init__()
        _check_alpha(alpha)
        self.alpha = alpha
        if ccl is None:
            ccl = dict(type='ConsistentConstraintLoss')
        self.ccl = MODELS.build(ccl)

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        video_ids: Optional[VideoIds] = None,
    ) -> dict[str, Tensor]:
        """See :func:`video_level_loss`."""
        return video_level_loss(
            cls_score, label, video_ids, alpha=self.alpha, ccl=self.ccl
        )

    def extra_repr(self) -> str:
        return f'alpha={self.alpha}'


def _check_alpha(alpha: float) -> None:
    if isinstance(alpha, bool) or not isinstance(alpha, Real):
        raise TypeError(f'alpha must be a number, but got {alpha!r}')
    if not 0 <= alpha <= 1:
        raise ValueError(f'alpha must be in [0, 1], but got {alpha}')

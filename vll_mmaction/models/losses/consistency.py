"""The consistent constraint of Shi et al. 2020: Eq. 4, 5 and 6.

A further mode is a function of :class:`ScoredClips` and a line in ``MODES``,
whose names are what ``mode=`` takes. What a value decides, such as which
clips are wrong, is known on the device alone; asking for it would make the
CPU wait. So a mode computes all cases and weighs them by 0 or 1.
"""

from typing import Any, Callable, NamedTuple, Optional

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from .batch_videos import BatchVideos
from .clip_grouping import VideoIds, send_to, with_pairs
from .clip_loss import check_option, clip_loss
from .pair_distance import distance_between, sum_over_pairs


class ScoredClips(NamedTuple):
    """A batch of M clips of V videos, as a mode gets it.

    Args:
        scores (Tensor): (M, K) float32 or float64: probabilities or logits,
            by the option ``score``.
        right (Tensor): 1 where the clip is classified rightly, else 0, (M,).
        num_right (Tensor): Right clips a video, (V,).
        videos (BatchVideos): The videos.
        distance (str): ``'l2'`` or ``'mse'``.
        reduction (str): ``'mean'`` or ``'sum'`` within a video.
        detach_target (bool): No gradient through the mean of right clips.
    """

    scores: Tensor
    right: Tensor
    num_right: Tensor
    videos: BatchVideos
    distance: str
    reduction: str
    detach_target: bool


def euclidean_distance(
    batch: ScoredClips, only: Optional[Tensor] = None
) -> Tensor:
    """Distance of all pairs of clips of a video: Shi et al. 2020, Eq. 4.

    The mean over the videos, of which those but ``only``, (V,) bool, count
    as 0.
    """
    groups = with_pairs(batch.videos.groups)
    counts, device = batch.videos.counts, batch.scores.device
    weight = torch.full_like(counts, 1 / len(counts))
    if batch.reduction == 'mean':
        weight = weight / (counts * (counts - 1) / 2).clamp(min=1)
    if only is not None:
        weight = weight * only
    return sum_over_pairs(
        batch.scores,
        send_to(groups.first, device),
        send_to(groups.second, device),
        batch.videos.of_clips(weight),
        batch.distance,
    )


def error_direction(batch: ScoredClips) -> Tensor:
    """Distance of wrong clips to the mean of the right ones: Eq. 5.

    The mean over the videos, of which those without a right clip count as 0.
    """
    scores, num_right = batch.scores, batch.num_right
    weight = (num_right > 0).to(scores.dtype) / len(num_right)
    if batch.reduction == 'mean':
        weight = weight / (batch.videos.counts - num_right).clamp(min=1)
    # The mean score of the right clips of each clip's video, (M, K).
    total = batch.videos.total(scores * batch.right[:, None])
    target = batch.videos.of_clips(total / num_right.clamp(min=1)[:, None])
    if batch.detach_target:
        target = target.detach()
    weight = (1 - batch.right) * batch.videos.of_clips(weight)
    return (distance_between(scores, target, batch.distance) * weight).sum()


def consistent_constraint(batch: ScoredClips) -> Tensor:
    """Eq. 4 for videos whose clips are all wrong, else Eq. 5: Eq. 6."""
    all_wrong = batch.num_right == 0
    return euclidean_distance(batch, all_wrong) + error_direction(batch)


MODES: dict[str, Callable[[ScoredClips], Tensor]] = dict(
    ccl=consistent_constraint,
    euc=euclidean_distance,
    err=error_direction,
)


_ALLOWED = dict(
    mode=tuple(MODES),
    score=('prob', 'logit'),
    distance=('l2', 'mse'),
    reduction=('mean', 'sum'),
    detach_target=(False, True),
)


@clip_loss
def consistent_constraint_loss(
    cls_score: Tensor,
    label: Tensor,
    video_ids: BatchVideos,
    *,
    mode: str = 'ccl',
    score: str = 'prob',
    distance: str = 'l2',
    reduction: str = 'mean',
    detach_target: bool = False,
) -> Tensor:
    r"""Distance between the clips of a video, mean over the videos.

    With :math:`\hat{y}_i` the score vector of clip i of a video of m clips,
    E its wrongly classified clips and R the mean score of the others:

    - ``'euc'``, Shi et al. 2020, Eq. 4:
      :math:`\frac{2}{m(m-1)} \sum_{k<j} \|\hat{y}_k - \hat{y}_j\|_2`,
      0 for a video of one clip.
    - ``'err'``, Eq. 5:
      :math:`\frac{1}{|E|} \sum_{i \in E} \|\hat{y}_i - R\|_2`,
      0 where all clips are right, or all are wrong.
    - ``'ccl'``, Eq. 6: Eq. 4 where all clips are wrong, else Eq. 5.

    The softmax and all that follows run in float32, float64 logits in
    float64. The gradient is finite also where a distance is zero. NaN in the
    logits gives NaN.

    Args:
        cls_score (Tensor): Logits, (M, K) floating point.
        label (Tensor): Classes, (M,) integers in 0...K-1, or soft labels,
            (M, K) floating point, whose argmax tells right from wrong.
        video_ids (Tensor | sequence | ndarray, optional): (M,) integers,
            equal for the clips of one video, in any order. They are read on
            the CPU; ids on a GPU cost a synchronisation. None takes the
            batch as one video and compares the labels on the host. Under
            ``torch.compile(fullgraph=True)``: a :func:`clip_groups`.
        mode, score, distance, reduction, detach_target: See
            :class:`ConsistentConstraintLoss`.

    Returns:
        Tensor: A scalar, float32, or float64 for float64 logits.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: An option, a shape or (on the CPU) a label is out of
            range, the batch is empty, or it holds clips of several labels
            without ``video_ids``.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
        >>> label = torch.tensor([0, 0, 1])
        >>> loss = consistent_constraint_loss(logits, label, [7, 7, 8])
        >>> round(loss.item(), 4)
        0.6817
    """
    _check_options(
        mode=mode,
        score=score,
        distance=distance,
        reduction=reduction,
        detach_target=detach_target,
    )
    scores = cls_score.softmax(dim=1) if score == 'prob' else cls_score
    classes = label if label.dim() == 1 else label.argmax(dim=1)
    right = (cls_score.argmax(dim=1) == classes).to(scores.dtype)
    batch = ScoredClips(
        scores,
        right,
        video_ids.total(right),
        video_ids,
        distance,
        reduction,
        detach_target,
    )
    # Zero, but it lets NaN through and ties the loss to the graph also where
    # no distance is taken: DDP wants a gradient on every rank.
    return (scores * 0).sum() + MODES[mode](batch)


@MODELS.register_module()
class ConsistentConstraintLoss(nn.Module):
    """Consistent constraint loss, Shi et al. 2020, Eq. 4, 5 and 6.

    The formulas are in :func:`consistent_constraint_loss`.

    Args:
        mode (str): ``'ccl'`` (Eq. 6), ``'euc'`` (Eq. 4) or ``'err'`` (Eq. 5).
            Defaults to ``'ccl'``.
        score (str): Measure distances between ``'prob'`` (softmax) or
            ``'logit'`` vectors. Defaults to ``'prob'``.
        distance (str): ``'l2'`` is the Euclidean distance, ``'mse'`` the
            mean over classes of the squared difference. Defaults to ``'l2'``.
        reduction (str): ``'mean'`` or ``'sum'`` over the pairs (Eq. 4) and
            over the wrong clips (Eq. 5) of a video. The videos of a batch
            are always averaged. Defaults to ``'mean'``.
        detach_target (bool): Stop the gradient through the mean of the right
            clips, so that Eq. 5 moves wrong clips only. Defaults to False.
    """

    def __init__(
        self,
        mode: str = 'ccl',
        score: str = 'prob',
        distance: str = 'l2',
        reduction: str = 'mean',
        detach_target: bool = False,
    ) -> None:
        super().__init__()
        self.options: dict[str, Any] = dict(
            mode=mode,
            score=score,
            distance=distance,
            reduction=reduction,
            detach_target=detach_target,
        )
        _check_options(**self.options)

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        video_ids: Optional[VideoIds] = None,
    ) -> Tensor:
        """See :func:`consistent_constraint_loss`."""
        return consistent_constraint_loss(
            cls_score, label, video_ids, **self.options
        )

    def extra_repr(self) -> str:
        return ', '.join(f'{k}={v!r}' for k, v in self.options.items())


def _check_options(**options: Any) -> None:
    for name, value in options.items():
        check_option(name, value, _ALLOWED[name])

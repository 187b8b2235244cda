"""The modes of the consistent constraint: one function each, in ``MODES``.

A further mode is a function of :class:`ScoredClips` and a line in ``MODES``,
whose names are what ``mode=`` takes. What a value decides, such as which
clips are wrong, is known on the device alone; asking for it would make the
CPU wait. So a mode computes all cases and weighs them by 0 or 1.
"""

from typing import Callable, NamedTuple, Optional

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .clip_grouping import ClipGroups, send_to, with_pairs

# Elements of the scores that one side of a chunk of pairs gathers (64 MiB in
# float32). A video of 500 clips and 101 classes still fits into one chunk.
_MAX_GATHERED = 2**24


class ScoredClips(NamedTuple):
    """A batch of M clips of V videos, as a mode gets it.

    Args:
        scores (Tensor): (M, K) float32 or float64: probabilities or logits,
            by the option ``score``.
        right (Tensor): 1 where the clip is classified rightly, else 0, (M,).
        video (Tensor): Video of each clip, (M,) int64 in 0...V-1.
        num_right (Tensor): Right clips a video, (V,).
        groups (ClipGroups): The videos again, on the CPU.
        distance (str): ``'l2'`` or ``'mse'``.
        reduction (str): ``'mean'`` or ``'sum'`` within a video.
        detach_target (bool): No gradient through the mean of right clips.
    """

    scores: Tensor
    right: Tensor
    video: Tensor
    num_right: Tensor
    groups: ClipGroups
    distance: str
    reduction: str
    detach_target: bool


def euclidean_distance(
    batch: ScoredClips, only: Optional[Tensor] = None
) -> Tensor:
    """Distance of all pairs of clips of a video: Shi et al. 2020, Eq. 4.

    Args:
        batch (ScoredClips): The batch.
        only (Tensor, optional): (V,) bool; the other videos count as 0.

    Returns:
        Tensor: A scalar, the mean over the videos.
    """
    groups = with_pairs(batch.groups)
    counts = groups.counts.double()
    weight = torch.full_like(counts, 1 / len(counts))
    if batch.reduction == 'mean':
        weight = weight / (counts * (counts - 1) / 2).clamp(min=1)
    device = batch.scores.device
    weight = send_to(weight, device, batch.scores.dtype)
    if only is not None:
        weight = weight * only
    return _sum_over_pairs(
        batch.scores,
        send_to(groups.first, device),
        send_to(groups.second, device),
        weight.index_select(0, batch.video),
        batch.distance,
    )


def error_direction(batch: ScoredClips) -> Tensor:
    """Distance of wrong clips to the mean of the right ones: Eq. 5.

    Args:
        batch (ScoredClips): The batch.

    Returns:
        Tensor: A scalar, the mean over the videos, of which those without a
        right clip count as 0.
    """
    scores, num_right = batch.scores, batch.num_right
    weight = (num_right > 0).to(scores.dtype) / len(num_right)
    if batch.reduction == 'mean':
        size = send_to(batch.groups.counts, scores.device, scores.dtype)
        weight = weight / (size - num_right).clamp(min=1)
    target = _mean_of_right(batch)
    if batch.detach_target:
        target = target.detach()
    weight = (1 - batch.right) * weight.index_select(0, batch.video)
    return (_distance(scores, target, batch.distance) * weight).sum()


def consistent_constraint(batch: ScoredClips) -> Tensor:
    """Eq. 4 for videos whose clips are all wrong, else Eq. 5: Eq. 6.

    Args:
        batch (ScoredClips): The batch.

    Returns:
        Tensor: A scalar, the mean over the videos.
    """
    all_wrong = batch.num_right == 0
    return euclidean_distance(batch, all_wrong) + error_direction(batch)


MODES: dict[str, Callable[[ScoredClips], Tensor]] = dict(
    ccl=consistent_constraint,
    euc=euclidean_distance,
    err=error_direction,
)


def _mean_of_right(batch: ScoredClips) -> Tensor:
    """Mean score of the right clips of each clip's video, (M, K)."""
    scores, num_right = batch.scores, batch.num_right
    total = scores.new_zeros(len(num_right), scores.shape[1])
    total = total.index_add(0, batch.video, scores * batch.right[:, None])
    mean = total / num_right.clamp(min=1)[:, None]
    return mean.index_select(0, batch.video)


def _weighted_distance(
    scores: Tensor,
    first: Tensor,
    second: Tensor,
    clip_weight: Tensor,
    distance: str,
) -> Tensor:
    """Weighted sum of the distances of the pairs (first, second)."""
    pairs = _distance(
        scores.index_select(0, first),
        scores.index_select(0, second),
        distance,
    )
    return (pairs * clip_weight.index_select(0, first)).sum()


def _sum_over_pairs(
    scores: Tensor,
    first: Tensor,
    second: Tensor,
    clip_weight: Tensor,
    distance: str,
) -> Tensor:
    """The same, recomputed in chunks once the pairs get too many to keep.

    Args:
        scores (Tensor): (M, K).
        first (Tensor): Clip numbers, (P,) int64.
        second (Tensor): Clip numbers, (P,) int64.
        clip_weight (Tensor): (M,), weight of the pairs of a clip's video.
        distance (str): ``'l2'`` or ``'mse'``.
    """
    chunk = max(1, _MAX_GATHERED // scores.shape[1])
    if len(first) <= chunk:
        return _weighted_distance(scores, first, second, clip_weight, distance)
    total = scores.new_zeros(())
    for i, j in zip(first.split(chunk), second.split(chunk)):
        total = total + checkpoint(
            _weighted_distance,
            scores,
            i,
            j,
            clip_weight,
            distance,
            use_reentrant=False,
            preserve_rng_state=False,
        )
    return total


def _distance(a: Tensor, b: Tensor, distance: str) -> Tensor:
    """Distances (P,) between the rows of two (P, K) tensors."""
    if distance == 'mse':
        return (a - b).square().mean(dim=1)
    # Its gradient at a zero vector is zero, that of a bare sqrt is infinite.
    return torch.linalg.vector_norm(a - b, dim=1)

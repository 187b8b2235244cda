"""Distances between the scores of clips, in memory that pairs do not fill."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Elements of the scores that one side of a chunk of pairs gathers (64 MiB in
# float32). A video of 500 clips and 101 classes still fits into one chunk.
_MAX_GATHERED = 2**24


def distance_between(a: Tensor, b: Tensor, distance: str) -> Tensor:
    """Distances (P,) between the rows of two (P, K) tensors."""
    if distance == 'mse':
        return (a - b).square().mean(dim=1)
    # Its gradient at a zero vector is zero, that of a bare sqrt is infinite.
    return torch.linalg.vector_norm(a - b, dim=1)


def sum_over_pairs(
    scores: Tensor,
    first: Tensor,
    second: Tensor,
    clip_weight: Tensor,
    distance: str,
) -> Tensor:
    """Weighted sum of distances, recomputed once they get too many to keep.

    Of the scores (M, K) of the clips ``first`` and ``second``, (P,) int64;
    ``clip_weight`` (M,) is that of the pairs of a clip's video.
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


def _weighted_distance(
    scores: Tensor,
    first: Tensor,
    second: Tensor,
    clip_weight: Tensor,
    distance: str,
) -> Tensor:
    a, b = (scores.index_select(0, clips) for clips in (first, second))
    weight = clip_weight.index_select(0, first)
    return (distance_between(a, b, distance) * weight).sum()

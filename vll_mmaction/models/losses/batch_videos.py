"""Sums and means over the clips of each video, where the scores are."""

import torch
from torch import Tensor

from .clip_grouping import ClipGroups, send_to


class BatchVideos:
    """The V videos of a batch of M clips, on the device of their scores.

    Nothing here makes the host wait for the device.

    Args:
        groups (ClipGroups): Which clips are of one video, on the CPU.
        scores (Tensor): (M, K); their device and type are the tensors' here.

    Attributes:
        groups (ClipGroups): As given.
        video (Tensor): Video of each clip, (M,) int64 in 0...V-1.
        counts (Tensor): Clips a video, (V,) floating point.
    """

    def __init__(self, groups: ClipGroups, scores: Tensor) -> None:
        self.groups = groups
        self.video = send_to(groups.video, scores.device)
        self.counts = send_to(groups.counts, scores.device, scores.dtype)

    def __len__(self) -> int:
        return len(self.groups.counts)

    def of_clips(self, values: Tensor) -> Tensor:
        """For each clip what its video has: (V, ...) to (M, ...)."""
        return values.index_select(0, self.video)

    def total(self, values: Tensor) -> Tensor:
        """Sum over the clips of each video: (M, ...) to (V, ...)."""
        zeros = values.new_zeros(len(self), *values.shape[1:])
        return zeros.index_add(0, self.video, values)

    def largest(self, values: Tensor) -> Tensor:
        """Largest over the clips, (M, K) to (V, K), without gradient."""
        index = self.video[:, None].expand_as(values)
        lowest = values.new_full((len(self), values.shape[1]), -torch.inf)
        return lowest.scatter_reduce(0, index, values.detach(), 'amax')

    def average(self, values: Tensor) -> Tensor:
        """Mean over the clips of a video, then over the videos: (M,) to ()."""
        weight = 1 / (self.counts * len(self))
        return (values * self.of_clips(weight)).sum()


def of_label(values: Tensor, label: Tensor) -> Tensor:
    """Value (M,) of each clip's class, of one a class, (M, K).

    Labels are (M,) int64, or soft, (M, K), which give the mean by them.
    """
    if label.dim() == 1:
        return values.gather(1, label[:, None])[:, 0]
    return (label * values).sum(dim=1)

"""Cross-entropy of the mean prediction of a video's clips."""

from typing import Optional

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn

from .clip_grouping import ClipGroups, VideoIds, send_to
from .clip_loss import clip_loss


@clip_loss
def mean_prediction_loss(
    cls_score: Tensor,
    label: Tensor,
    video_ids: ClipGroups,
) -> Tensor:
    r"""Cross-entropy of the videos' mean predictions, mean over the videos.

    :math:`-\log \frac{1}{m} \sum_i \hat{y}_{i,y}` for a video of m clips of
    class y. Not of the paper: a term to be used in place of the consistent
    constraint, see docs/evidence.md. Its gradient is that of the clips'
    cross-entropies, each weighted by the clip's share of the probability
    that the video gives its class, so clips that show nothing of it may go
    on saying so.

    Args:
        cls_score (Tensor): Logits, (M, K) floating point.
        label (Tensor): Classes, (M,) integers in 0...K-1, or soft labels,
            (M, K) floating point, alike for the clips of a video.
        video_ids (Tensor | sequence | ndarray, optional): See
            :func:`consistent_constraint_loss`.

    Returns:
        Tensor: A scalar, float32, or float64 for float64 logits.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: As in :func:`consistent_constraint_loss`.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
        >>> label = torch.tensor([0, 0, 1])
        >>> round(mean_prediction_loss(logits, label, [7, 7, 8]).item(), 4)
        0.3556
    """
    groups = video_ids
    num_videos = len(groups.counts)
    log_prob = cls_score.log_softmax(dim=1)
    num_classes = log_prob.shape[1]
    video = send_to(groups.video, log_prob.device)
    index = video[:, None].expand(-1, num_classes)
    # Log of the mean probability. By the largest of a video, which its
    # result does not depend on, nothing underflows.
    shape = num_videos, num_classes
    largest = log_prob.new_full(shape, -torch.inf).scatter_reduce(
        0, index, log_prob.detach(), 'amax'
    )
    away = log_prob - largest.index_select(0, video)
    total = log_prob.new_zeros(shape).index_add(0, video, away.exp())
    counts = send_to(groups.counts, log_prob.device, log_prob.dtype)
    log_mean = total.log() + largest - counts.log()[:, None]
    weight = 1 / (counts * num_videos)
    per_clip = log_mean.index_select(0, video)
    if label.dim() == 1:
        picked = per_clip.gather(1, label[:, None])[:, 0]
    else:
        picked = (label * per_clip).sum(dim=1)
    return -(picked * weight.index_select(0, video)).sum()


@MODELS.register_module()
class MeanPredictionLoss(nn.Module):
    """Cross-entropy of the videos' mean predictions, as ``ccl``.

    Not of the paper, see :func:`mean_prediction_loss`.
    """

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        video_ids: Optional[VideoIds] = None,
    ) -> Tensor:
        """See :func:`mean_prediction_loss`."""
        return mean_prediction_loss(cls_score, label, video_ids)

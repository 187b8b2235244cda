"""Cross-entropy of a video's prediction, as heads average its clips'."""

from typing import Callable, Optional

from mmaction.registry import MODELS
from torch import Tensor, nn

from .batch_videos import BatchVideos, of_label
from .clip_grouping import VideoIds
from .clip_loss import check_option, clip_loss


def log_mean_prob(cls_score: Tensor, videos: BatchVideos) -> Tensor:
    """Log of the mean probability of the clips, (M, K) to (V, K)."""
    log_prob = cls_score.log_softmax(dim=1)
    # Relative to a video's largest, which cancels out, none underflows.
    largest = videos.largest(log_prob)
    total = videos.total((log_prob - videos.of_clips(largest)).exp())
    return total.log() + largest - videos.counts.log()[:, None]


def log_mean_score(cls_score: Tensor, videos: BatchVideos) -> Tensor:
    """Log-softmax of the mean logits of the clips, (M, K) to (V, K)."""
    weight = videos.of_clips(1 / videos.counts)
    return videos.total(weight[:, None] * cls_score).log_softmax(dim=1)


RULES: dict[str, Callable[[Tensor, BatchVideos], Tensor]] = dict(
    prob=log_mean_prob, score=log_mean_score
)
"""What ``average_clips`` may be."""


def cross_entropy_of_videos(
    log_prob: Tensor, label: Tensor, videos: BatchVideos
) -> Tensor:
    """Mean over the videos of the cross-entropy of their predictions.

    From log-probabilities (V, K) and labels of the clips, (M,) or (M, K).
    """
    return -videos.average(of_label(videos.of_clips(log_prob), label))


@clip_loss
def video_prediction_loss(
    cls_score: Tensor,
    label: Tensor,
    video_ids: BatchVideos,
    *,
    average_clips: str = 'prob',
) -> Tensor:
    r"""Cross-entropy of the videos' predictions, mean over the videos.

    A video of m clips with the scores :math:`\hat{y}_i`, softmax of the
    logits :math:`z_i`, and of class y has the loss :math:`-\log q_y`, where

    - ``'prob'``: :math:`q = \frac{1}{m} \sum_i \hat{y}_i`. Its gradient is
      that of the clips' cross-entropies, each weighted by the clip's share
      of :math:`q_y`, so clips that show nothing of the class may go on
      saying so.
    - ``'score'``: :math:`q = \mathrm{softmax}(\frac{1}{m} \sum_i z_i)`, the
      segmental consensus of TSN (Wang et al. 2016, Eq. 1, by averaging).

    Heads with the same ``average_clips`` predict by the highest of q. Not of
    Shi et al. 2020.

    Args:
        cls_score (Tensor): Logits, (M, K) floating point.
        label (Tensor): Classes, (M,) integers in 0...K-1, or soft labels,
            (M, K) floating point, alike for the clips of a video.
        video_ids (Tensor | sequence | ndarray, optional): See
            :func:`consistent_constraint_loss`.
        average_clips (str): ``'prob'`` or ``'score'``.

    Returns:
        Tensor: A scalar, float32, or float64 for float64 logits.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: As in :func:`consistent_constraint_loss`.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
        >>> label = torch.tensor([0, 0, 1])
        >>> for rule in ('prob', 'score'):
        ...     loss = video_prediction_loss(
        ...         logits, label, [7, 7, 8], average_clips=rule
        ...     )
        ...     print(round(loss.item(), 4))
        0.3556
        0.3556
    """
    check_option('average_clips', average_clips, tuple(RULES))
    log_prob = RULES[average_clips](cls_score, video_ids)
    return cross_entropy_of_videos(log_prob, label, video_ids)


@MODELS.register_module()
class VideoPredictionLoss(nn.Module):
    """Cross-entropy of the videos' predictions: ``ccl``, or ``loss_cls``.

    See :func:`video_prediction_loss`.

    Args:
        average_clips (str): ``'prob'`` or ``'score'``, as of the head that
            predicts. Defaults to ``'prob'``.
    """

    def __init__(self, average_clips: str = 'prob') -> None:
        super().__init__()
        check_option('average_clips', average_clips, tuple(RULES))
        self.average_clips = average_clips

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        video_ids: Optional[VideoIds] = None,
    ) -> Tensor:
        """See :func:`video_prediction_loss`."""
        return video_prediction_loss(
            cls_score, label, video_ids, average_clips=self.average_clips
        )

    def extra_repr(self) -> str:
        return f'average_clips={self.average_clips!r}'

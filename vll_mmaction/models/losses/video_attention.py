"""The loss of heads that attend to a video's clips."""

from typing import Optional

from mmaction.registry import MODELS
from torch import Tensor, nn

from .batch_videos import BatchVideos, of_label
from .clip_grouping import VideoIds
from .clip_loss import check_weight, clip_loss
from .video_prediction import cross_entropy_of_videos


@clip_loss
def video_attention_loss(
    cls_score: Tensor,
    label: Tensor,
    video_ids: BatchVideos,
    *,
    gate: Tensor,
    beta: float = 0.5,
) -> dict[str, Tensor]:
    r"""Cross-entropy of videos by attention, and of their clips.

    With the gate's scores :math:`e_i` of the clips of a video, their weights
    are :math:`a_i = \exp(e_i) / \sum_j \exp(e_j)` (Ilse et al. 2018), the
    video's logits are :math:`\sum_i a_i z_i`, those of the clips weighted,
    and its loss is :math:`(1 - \beta)` times the cross-entropy of these, and
    :math:`\beta` times the mean cross-entropy of the clips, which keeps each
    clip's own answer meaningful. A video weighs the same however long it is.

    Args:
        cls_score (Tensor): Logits, (M, K) floating point.
        label (Tensor): Classes, (M,) integers in 0...K-1, or soft labels,
            (M, K) floating point, alike for the clips of a video.
        video_ids (Tensor | sequence | ndarray, optional): See
            :func:`consistent_constraint_loss`.
        gate (Tensor): Scores of the clips, (M,) floating point.
        beta (float): Weight of the clips' cross-entropy, 0 to 1.

    Returns:
        dict[str, Tensor]: The weighted terms ``loss_ce``, of the clips, and
        ``loss_video``, scalars, float32 or, for float64 logits, float64.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: As in :func:`consistent_constraint_loss`, or the gate is
            not of shape (M,).

    Example:
        >>> import torch
        >>> logits = torch.tensor([[4.0, 0.0], [0.0, 0.0]])
        >>> for e in (0.0, 9.0):  # the second clip shows nothing
        ...     terms = video_attention_loss(
        ...         logits, torch.tensor([0, 0]), gate=torch.tensor([e, 0.0])
        ...     )
        ...     print({k: round(v.item(), 4) for k, v in terms.items()})
        {'loss_ce': 0.1778, 'loss_video': 0.0635}
        {'loss_ce': 0.1778, 'loss_video': 0.0091}
    """
    check_weight('beta', beta)
    if gate.shape != cls_score.shape[:1]:
        raise ValueError(
            f'gate must have shape ({len(cls_score)},), one score a clip, '
            f'but got {tuple(gate.shape)}'
        )
    gate = gate.to(cls_score.dtype)
    largest = video_ids.largest(gate[:, None])[:, 0]
    share = (gate - video_ids.of_clips(largest)).exp()
    weight = share / video_ids.of_clips(video_ids.total(share))
    of_videos = video_ids.total(weight[:, None] * cls_score)
    loss_video = cross_entropy_of_videos(
        of_videos.log_softmax(dim=1), label, video_ids
    )
    loss_ce = -video_ids.average(of_label(cls_score.log_softmax(dim=1), label))
    return dict(loss_ce=beta * loss_ce, loss_video=(1 - beta) * loss_video)


@MODELS.register_module()
class VideoAttentionLoss(nn.Module):
    """Loss of a head that attends to a video's clips (Ilse et al. 2018).

    See :func:`video_attention_loss`. It is the ``loss_cls`` of heads of
    :class:`VideoAttentionHeadMixin`, which have the gate.

    Args:
        beta (float): Weight of the clips' cross-entropy, 0 to 1. Defaults to
            0.5.

    Raises:
        TypeError: ``beta`` is no number.
        ValueError: ``beta`` is out of range.
    """

    def __init__(self, beta: float = 0.5) -> None:
        super().__init__()
        check_weight('beta', beta)
        self.beta = beta

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        video_ids: Optional[VideoIds] = None,
        gate: Optional[Tensor] = None,
    ) -> dict[str, Tensor]:
        """See :func:`video_attention_loss`."""
        if gate is None:
            raise ValueError(
                'VideoAttentionLoss needs the scores of a gate, which heads '
                'of VideoAttentionHeadMixin have: in the config, use '
                "type='VideoAttentionI3DHead' instead of 'I3DHead' or "
                "'VideoLevelI3DHead' (likewise 'VideoAttentionTSNHead' and "
                'so on)'
            )
        return video_attention_loss(
            cls_score, label, video_ids, gate=gate, beta=self.beta
        )

    def extra_repr(self) -> str:
        return f'beta={self.beta}'

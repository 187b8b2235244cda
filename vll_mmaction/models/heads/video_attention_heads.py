"""Stock classification heads that attend to the clips of a video."""

from collections.abc import Sequence
from typing import Any

import torch
from mmaction.structures import ActionDataSample
from torch import Tensor, nn

from ..losses.clip_loss import takes
from .class_layer import NO_CLASS_LAYER, ClassLayerInput, class_layer
from .stock_twins import register_twins
from .video_level_heads import NOT_SERVED, VideoLevelHeadMixin


class AttentionGate(nn.Module):
    r"""Gate of attention over clips, Ilse et al. 2018, Eq. 9.

    The score of a clip of the feature :math:`h` is
    :math:`w^T (\tanh(V h) \odot \sigma(U h))`. With w = 0, as it starts, all
    clips of a video get equal weights.

    Args:
        in_channels (int): Width of h.
        channels (int): Rows of V and U.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.v = nn.Linear(in_channels, channels, bias=False)
        self.u = nn.Linear(in_channels, channels, bias=False)
        self.w = nn.Linear(channels, 1, bias=False)
        self.close()

    def close(self) -> None:
        """Set w to 0."""
        nn.init.zeros_(self.w.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Scores (M, 1) of clips with the features (M, in_channels)."""
        return self.w(self.v(features).tanh() * self.u(features).sigmoid())


class VideoAttentionHeadMixin(VideoLevelHeadMixin):
    """Attention over the clips of a video (Ilse et al. 2018) for a head.

    Put before a head, as :class:`VideoLevelHeadMixin`, of which it has all:
    ``class VideoAttentionI3DHead(VideoAttentionHeadMixin, I3DHead)``. A gate
    scores each clip by its feature, which is the input of the class layer.
    The softmax over the video's clips of these scores are the clips' weights,
    and the weighted mean of their logits is the video's. So:

    - ``forward`` gives the logits with one more column, the gate's score,
      (M, K + 1), which ``loss_by_feat`` and ``predict_by_feat`` take;
    - ``average_clips='attention'`` predicts by the softmax of the weighted
      mean of the logits;
    - each predicted data sample also gets ``clip_weights``, the weights of
      its views, which sum to one, and ``clip_gates``, the gate's scores, of
      which they are the softmax;
    - checkpoints also hold ``gate``. One that was trained without starts with
      equal weights.

    The arguments are the stock head's, with ``average_clips`` as said,
    ``loss_cls``, which must be a :class:`VideoAttentionLoss` or another whose
    ``forward`` has an argument ``gate`` (and is so by default), and

    Args:
        attention_channels (int): Width of the gate. Defaults to 128.

    Raises:
        ValueError: As of :class:`VideoLevelHeadMixin`, or the loss takes no
            gate, or the head has no linear class layer on one feature a clip.
    """

    _averages = ('attention',)

    def __init__(
        self, *args: Any, attention_channels: int = 128, **kwargs: Any
    ) -> None:
        kwargs.setdefault('loss_cls', dict(type='VideoAttentionLoss'))
        super().__init__(*args, **kwargs)
        if not takes(self.loss_cls, 'gate'):
            raise ValueError(
                f'{type(self).__name__} learns its attention from a loss that '
                f'knows of it, which {type(self.loss_cls).__name__} does not: '
                "use loss_cls=dict(type='VideoAttentionLoss')"
            )
        self.gate = AttentionGate(
            class_layer(self).in_features, attention_channels
        )

    def init_weights(self) -> None:
        """As the stock head's, and equal weights of all clips."""
        super().init_weights()
        self.gate.close()

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Logits of clips and, as the last column, the gate's scores.

        The arguments are the stock head's.

        Returns:
            Tensor: (M, K + 1).
        """
        with ClassLayerInput(self) as given:
            cls_scores = super().forward(*args, **kwargs)
        gate = self.gate(given.take(len(cls_scores)))
        return torch.cat([cls_scores, gate], dim=1)

    def loss_by_feat(
        self,
        cls_scores: Tensor,
        data_samples: Sequence[ActionDataSample],
        **options: Tensor,
    ) -> dict[str, Tensor]:
        """See :class:`VideoLevelHeadMixin`; the scores are (M, K + 1)."""
        options['gate'] = cls_scores[:, -1]
        return super().loss_by_feat(
            cls_scores[:, :-1], data_samples, **options
        )

    def average_clip(self, cls_scores: Tensor, num_segs: int = 1) -> Tensor:
        """Scores of a video from those of its views.

        Args:
            cls_scores (Tensor): What ``forward`` gives, (B * num_segs, K + 1).
            num_segs (int): Views a video. Defaults to 1.

        Returns:
            Tensor: (B, K); (B, num_segs, K) for ``average_clips=None``.
        """
        logits = cls_scores[:, :-1]
        if self.average_clips != 'attention':
            return super().average_clip(logits, num_segs)
        weights = _attention(cls_scores, num_segs)
        logits = logits.view(-1, num_segs, logits.shape[1])
        return (weights[..., None] * logits).sum(dim=1).softmax(dim=1)

    def _of_views(self, cls_scores: Tensor, views: int) -> dict[str, Tensor]:
        return dict(
            super()._of_views(cls_scores[:, :-1], views),
            clip_weights=_attention(cls_scores, views).flatten(),
            clip_gates=cls_scores[:, -1],
        )


def _attention(cls_scores: Tensor, views: int) -> Tensor:
    """Weights of the views of each video, (B * views, K + 1) to (B, views)."""
    return cls_scores[:, -1].view(-1, views).softmax(dim=1)


__all__ = [
    'AttentionGate',
    'VideoAttentionHeadMixin',
    *register_twins(
        'VideoAttention',
        VideoAttentionHeadMixin,
        {**NOT_SERVED, **NO_CLASS_LAYER},
        globals(),
    ),
]

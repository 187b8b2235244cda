"""Stock classification heads that know which clips are of one video."""

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import torch
import torch.nn.functional as F
from mmaction.structures import ActionDataSample
from torch import Tensor

from vll_mmaction.structures import labels_of_each, video_ids_of

from ..losses.batch_videos import BatchVideos
from ..losses.clip_grouping import number_videos, send_to
from ..losses.clip_loss import takes
from .stock_twins import register_twins
from .voting import VOTE_RULES

_STOCK_AVERAGES = ('prob', 'score', None)

NOT_SERVED = dict(
    FeatureHead='it extracts features and has no classes',
    GCNHead='it classifies skeletons, not clips of frames',
    RGBPoseHead='it scores two modalities apart',
    TSNAudioHead='it classifies audio, not clips of frames',
)
"""Stock heads that have no video-level twin, and why."""


class VideoLevelHeadMixin:
    """What a stock head lacks for video-level learning (Shi et al. 2020).

    Put before a head: ``class VideoLevelI3DHead(VideoLevelHeadMixin,
    I3DHead)``. Parameters keep the stock head's names. It differs from the
    stock head in this:

    - a ``loss_cls`` whose ``forward`` has an argument ``video_ids``, such as
      :class:`VideoLevelLoss`, is told the video of each clip;
    - top-k accuracy is computed without waiting for the GPU;
    - with such a loss, ``wrong_clips`` and ``agreement`` are logged as well;
    - ``training_scores`` keeps the logits of the last training batch, (M, K)
      without gradient, for hooks that watch them;
    - ``average_clips='vote'`` predicts by the clips' votes (Section 4.1):
      ``pred_score = (votes + mean probability) / (m + 1)`` for m clips. It
      sums to one, ranks by votes and breaks ties by mean probability. Further
      rules join in ``vll_mmaction/models/heads/voting.py``;
    - each predicted data sample gets ``clip_scores``, the probabilities of
      all its views.

    The arguments are the stock head's, save that ``average_clips`` may be
    ``'vote'`` and ``multi_class`` must be False.

    Raises:
        ValueError: ``average_clips`` is unknown, or ``multi_class`` is set.
    """

    training_scores: Optional[Tensor] = None
    _averages: tuple = ()
    """Values of ``average_clips`` beside the vote rules and stock's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name = type(self).__name__
        if self.multi_class:
            raise ValueError(
                f'{name} does not support multi_class=True: clips vote for '
                'one class a video'
            )
        allowed = (*self._averages, *VOTE_RULES, *_STOCK_AVERAGES)
        if self.average_clips not in allowed:
            hint = ''
            if self.average_clips == 'attention':
                hint = (
                    ". Attention is of type='VideoAttentionI3DHead' and so on"
                )
            raise ValueError(
                f'average_clips of {name} must be one of '
                f'{", ".join(map(repr, allowed))}, but got '
                f'{self.average_clips!r}{hint}'
            )

    def loss_by_feat(
        self,
        cls_scores: Tensor,
        data_samples: Sequence[ActionDataSample],
        **options: Tensor,
    ) -> dict[str, Tensor]:
        """Loss and top-k accuracy of the clips of a batch.

        Args:
            cls_scores (Tensor): Logits, (M, K). M is a multiple of the
                number of data samples: views of one sample are side by side.
            data_samples (Sequence[ActionDataSample]): With ``gt_label``, (1,)
                int64 or (K,) soft, and the integer ``video_id`` in the meta
                info if the loss takes ``video_ids``.
            **options (Tensor): What else the loss is called with.

        Returns:
            dict[str, Tensor]: Scalars on the device of the scores.

            - ``loss_cls`` or the terms of the loss.
            - ``top{k}_acc``: the share of clips, if labels are hard.
            - ``wrong_clips``, if the loss takes ``video_ids``: share of a
              video's clips whose answer is not its label (N_e / m in Shi et
              al. 2020, Eq. 5 and 6), mean over the videos.
            - ``agreement``, likewise: share of a video's clips that vote for
              its winner, as :class:`ClipConsistencyMetric` has it.

        Raises:
            ValueError: A sample has several labels or no ``video_id``, the
                rows cannot be dealt to the samples, or the clips of a video
                differ in their soft labels.
        """
        views = _views_a_sample(cls_scores, data_samples)
        labels = _stack_labels(data_samples)
        labels = send_to(labels, cls_scores.device)
        labels = labels.repeat_interleave(views, dim=0)
        self.training_scores = cls_scores.detach()

        losses, num_classes = {}, cls_scores.shape[1]
        soft, eps = labels.dim() == 2, self.label_smooth_eps
        classes = labels.argmax(dim=1) if soft else labels
        if not soft:
            losses.update(_top_k_accuracy(cls_scores, labels, self.topk))
        if eps != 0:
            if not soft:
                labels = F.one_hot(labels, num_classes)
            labels = (1 - eps) * labels + eps / num_classes

        if takes(self.loss_cls, 'video_ids'):
            ids = video_ids_of(data_samples, type(self.loss_cls).__name__)
            video_ids = torch.from_numpy(ids.repeat(views))
            options['video_ids'] = video_ids
            if soft:
                _check_blended(video_ids, labels)
            losses.update(_consistency(cls_scores, classes, video_ids))
        loss_cls = self.loss_cls(cls_scores, labels, **options)
        if isinstance(loss_cls, dict):
            losses.update(loss_cls)
        else:
            losses['loss_cls'] = loss_cls
        return losses

    def predict_by_feat(
        self, cls_scores: Tensor, data_samples: Sequence[ActionDataSample]
    ) -> Sequence[ActionDataSample]:
        """Prediction of each video from the logits of its clips.

        Args:
            cls_scores (Tensor): Logits, (M, K), the m views of a sample side
                by side. All samples have the same number of views, so videos
                of different clip counts need a batch size of 1.
            data_samples (Sequence[ActionDataSample]): Their ``num_clips`` in
                the meta info tells clips from crops.

        Returns:
            Sequence[ActionDataSample]: The samples with

            - ``pred_score``: (K,) float32; (m, K) logits for
              ``average_clips=None``, as in stock.
            - ``pred_label``: its argmax, (1,) int64.
            - ``clip_scores``: softmax of each view, (m, K) float32; with
              several crops, the views of the first clip come first.

        Raises:
            ValueError: The rows cannot be dealt to the samples.
        """
        views = _views_a_sample(cls_scores, data_samples)
        _check_equal_clips(data_samples)
        # Half-precision scores would not survive numpy in the metrics.
        cls_scores = cls_scores.float()
        for name, values in self._of_views(cls_scores, views).items():
            for data_sample, value in zip(data_samples, values.split(views)):
                num_clips = data_sample.get('num_clips', views)
                data_sample.set_field(group_by_clip(value, num_clips), name)
        return super().predict_by_feat(cls_scores, data_samples)

    def _of_views(self, cls_scores: Tensor, views: int) -> dict[str, Tensor]:
        """What a predicted sample is told of its views, each (M, ...)."""
        return dict(clip_scores=cls_scores.softmax(dim=1))

    def average_clip(self, cls_scores: Tensor, num_segs: int = 1) -> Tensor:
        """Scores of a video from those of its views.

        Args:
            cls_scores (Tensor): Logits, (B * num_segs, K).
            num_segs (int): Views a video. Defaults to 1.

        Returns:
            Tensor: (B, K); (B, num_segs, K) for ``average_clips=None``.
        """
        if self.average_clips in _STOCK_AVERAGES:
            return super().average_clip(cls_scores, num_segs)
        num_classes = cls_scores.shape[1]
        probs = cls_scores.softmax(dim=1).view(-1, num_segs, num_classes)
        return VOTE_RULES[self.average_clips](probs)


def _views_a_sample(cls_scores: Tensor, data_samples: Sequence) -> int:
    views, rest = divmod(len(cls_scores), len(data_samples))
    if rest or views == 0:
        raise ValueError(
            f'{len(cls_scores)} rows of scores cannot be dealt evenly to '
            f'{len(data_samples)} data samples: videos of different clip '
            'counts are tested with batch_size=1'
        )
    return views


def _check_equal_clips(data_samples: Sequence[ActionDataSample]) -> None:
    """Refuse a test batch of ragged videos, which stock pads silently."""
    counts = {x.get('num_clips') for x in data_samples}
    if len(counts) > 1:
        raise ValueError(
            f'a batch holds videos of {sorted(counts, key=str)} clips: '
            'videos of different clip counts are tested with batch_size=1'
        )


def _stack_labels(data_samples: Sequence[ActionDataSample]) -> Tensor:
    """Hard labels (N,) int64 or soft labels (N, K) floating point."""
    labels = labels_of_each(data_samples)
    if labels.is_floating_point():
        return labels
    if labels.shape[1] != 1:
        raise ValueError(
            'video-level heads take one label a clip, but got '
            f'{labels.shape[1]} (multi-class labels are not supported)'
        )
    return labels.squeeze(1)


def _check_blended(video_ids: Tensor, labels: Tensor) -> None:
    """Refuse clips that Mixup or CutMix made of several videos.

    With soft labels on a GPU this waits for it; hard labels cost nothing.
    """
    _, first, video = np.unique(
        video_ids.numpy(), return_index=True, return_inverse=True
    )
    if not torch.equal(labels, labels[torch.from_numpy(first[video])]):
        raise ValueError(
            'clips of one video have different soft labels. Mixup and CutMix '
            'blend clips of different videos, which a video-level loss would '
            'compare as one: remove `blending` from the data_preprocessor'
        )


def group_by_clip(values: Tensor, num_clips: int) -> Tensor:
    """Reorder views (m, ...) from crop by crop to clip by clip.

    ``FormatShape`` puts clip k of crop c at ``c * num_clips + k``.
    """
    if len(values) % num_clips:
        return values
    return values.unflatten(0, (-1, num_clips)).transpose(0, 1).flatten(0, 1)


def _top_k_accuracy(
    cls_scores: Tensor, labels: Tensor, topk: Sequence[int]
) -> dict[str, Tensor]:
    """Share of clips whose label is among the k best, for each k."""
    num_classes = cls_scores.shape[1]
    best = cls_scores.detach().topk(min(max(topk), num_classes), dim=1)
    hits = best.indices == labels[:, None]
    return {f'top{k}_acc': hits[:, :k].any(dim=1).float().mean() for k in topk}


def _consistency(
    cls_scores: Tensor, classes: Tensor, video_ids: Tensor
) -> dict[str, Tensor]:
    """Wrong clips and agreement, mean over the videos (ids on the CPU)."""
    videos = BatchVideos(number_videos(video_ids), cls_scores.float())
    answers = cls_scores.detach().argmax(dim=1)
    votes = videos.total(F.one_hot(answers, cls_scores.shape[1]).float())
    return dict(
        wrong_clips=videos.average((answers != classes).float()),
        agreement=(votes.amax(dim=1) / videos.counts).mean(),
    )


__all__ = [
    'VideoLevelHeadMixin',
    *register_twins('VideoLevel', VideoLevelHeadMixin, NOT_SERVED, globals()),
]

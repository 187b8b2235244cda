"""The video-level loss of Shi et al. 2020: cross-entropy and consistency.

Eq. 4, 5 and 6 are in ``consistency_modes.py``.
"""

from numbers import Real
from typing import Any, Callable, Optional

import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from torch import Tensor, nn

from .clip_grouping import ClipGroups, VideoIds, groups_of, send_to
from .consistency_modes import MODES, ScoredClips

_ALLOWED = dict(
    mode=tuple(MODES),
    score=('prob', 'logit'),
    distance=('l2', 'mse'),
    reduction=('mean', 'sum'),
    detach_target=(False, True),
)


def consistent_constraint_loss(
    cls_score: Tensor,
    label: Tensor,
    video_ids: Optional[VideoIds] = None,
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
        mode (str): ``'ccl'``, ``'euc'`` or ``'err'``.
        score (str): Measure distances between ``'prob'`` (softmax) or
            ``'logit'`` vectors.
        distance (str): ``'l2'`` is the Euclidean distance, ``'mse'`` the
            mean over classes of the squared difference.
        reduction (str): ``'mean'`` or ``'sum'`` over the pairs (Eq. 4) and
            over the wrong clips (Eq. 5) of a video. The videos of a batch
            are always averaged.
        detach_target (bool): Stop the gradient through R, so that Eq. 5
            moves wrong clips only.

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
    label = _check_batch(cls_score, label)
    groups = groups_of(video_ids, label)

    with torch.autocast(cls_score.device.type, enabled=False):
        logits = _full_precision(cls_score)
        scores = logits.softmax(dim=1) if score == 'prob' else logits
        video = send_to(groups.video, scores.device)
        classes = label if label.dim() == 1 else label.argmax(dim=1)
        right = (logits.argmax(dim=1) == classes).to(scores.dtype)
        num_right = scores.new_zeros(len(groups.counts))
        batch = ScoredClips(
            scores,
            right,
            video,
            num_right.index_add(0, video, right),
            groups,
            distance,
            reduction,
            detach_target,
        )
        # Zero, but it lets NaN through and ties the loss to the graph also
        # where no distance is taken: DDP wants a gradient on every rank.
        return (scores * 0).sum() + MODES[mode](batch)


def mean_prediction_loss(
    cls_score: Tensor,
    label: Tensor,
    video_ids: Optional[VideoIds] = None,
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
    label = _check_batch(cls_score, label)
    groups = groups_of(video_ids, label)
    num_videos = len(groups.counts)

    with torch.autocast(cls_score.device.type, enabled=False):
        log_prob = _full_precision(cls_score).log_softmax(dim=1)
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


def video_level_loss(
    cls_score: Tensor,
    label: Tensor,
    video_ids: Optional[VideoIds] = None,
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
    label = _check_batch(cls_score, label)
    groups = groups_of(video_ids, label)

    with torch.autocast(cls_score.device.type, enabled=False):
        logits = _full_precision(cls_score)
        if label.dim() == 1:
            loss_ce = F.cross_entropy(logits, label, reduction='none')
        else:
            loss_ce = -(label * logits.log_softmax(dim=1)).sum(dim=1)
        counts = groups.counts.double()
        weight = 1 / (counts[groups.video] * len(counts))
        weight = send_to(weight, logits.device, logits.dtype)
        loss_ce = (loss_ce * weight).sum()

    # A user's own `ccl` knows ids.
    known = isinstance(video_ids, ClipGroups)
    loss_ccl = ccl(cls_score, label, groups if known else groups.video)
    return dict(loss_ce=(1 - alpha) * loss_ce, loss_ccl=alpha * loss_ccl)


@MODELS.register_module()
class ConsistentConstraintLoss(nn.Module):
    """Consistent constraint loss, Shi et al. 2020, Eq. 4, 5 and 6.

    The options are those of :func:`consistent_constraint_loss`.

    Args:
        mode (str): ``'ccl'`` (Eq. 6), ``'euc'`` (Eq. 4) or ``'err'`` (Eq. 5).
            Defaults to ``'ccl'``.
        score (str): ``'prob'`` or ``'logit'``. Defaults to ``'prob'``.
        distance (str): ``'l2'`` or ``'mse'``. Defaults to ``'l2'``.
        reduction (str): ``'mean'`` or ``'sum'`` within a video. Defaults to
            ``'mean'``.
        detach_target (bool): Stop the gradient through the mean of the right
            clips. Defaults to False.
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


def _full_precision(cls_score: Tensor) -> Tensor:
    """Logits as float32; float64 stays."""
    return cls_score if cls_score.dtype == torch.float64 else cls_score.float()


def _check_batch(cls_score: Tensor, label: Tensor) -> Tensor:
    """Check shapes, types and, on the CPU, the range of the labels.

    Returns:
        Tensor: The label on the device of the scores, int64 or floating.
    """
    for name, value in (('cls_score', cls_score), ('label', label)):
        if not isinstance(value, Tensor):
            raise TypeError(f'{name} must be a Tensor, but got {type(value)}')
    if cls_score.dim() != 2 or not cls_score.is_floating_point():
        raise ValueError(
            'cls_score must be floating-point logits of shape (M, K), but '
            f'got {cls_score.dtype} of shape {tuple(cls_score.shape)}'
        )
    if cls_score.numel() == 0:
        raise ValueError(
            'cls_score must hold at least one clip and one class, but got '
            f'shape {tuple(cls_score.shape)}'
        )
    num_clips, num_classes = cls_score.shape
    soft = label.is_floating_point()
    expected = (num_clips, num_classes) if soft else (num_clips,)
    if tuple(label.shape) != expected or label.dtype == torch.bool:
        raise ValueError(
            f'label must be integers of shape ({num_clips},) or soft labels, '
            f'floating point, of shape ({num_clips}, {num_classes}), but got '
            f'{label.dtype} of shape {tuple(label.shape)}'
        )
    if soft:
        return send_to(label, cls_score.device)
    # On a GPU the check would wait for it; there, cross_entropy asserts. A
    # compiled graph has no values to look at.
    if label.device.type == 'cpu' and not torch.compiler.is_compiling():
        for value in (int(label.min()), int(label.max())):
            if not 0 <= value < num_classes:
                raise ValueError(
                    f'label {value} is out of range for {num_classes} '
                    f'classes: labels must be in 0...{num_classes - 1}'
                )
    return send_to(label, cls_score.device, torch.int64)


def _check_options(**options: Any) -> None:
    for name, value in options.items():
        allowed = _ALLOWED[name]
        if type(value) is not type(allowed[0]) or value not in allowed:
            raise ValueError(
                f'{name} must be one of {", ".join(map(repr, allowed))}, but '
                f'got {value!r}'
            )


def _check_alpha(alpha: float) -> None:
    if isinstance(alpha, bool) or not isinstance(alpha, Real):
        raise TypeError(f'alpha must be a number, but got {alpha!r}')
    if not 0 <= alpha <= 1:
        raise ValueError(f'alpha must be in [0, 1], but got {alpha}')

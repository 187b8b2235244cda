"""Warns when training has collapsed to one answer for all videos."""

from typing import Any, Optional

import torch
from mmaction.registry import HOOKS
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor

from vll_mmaction.structures import DataSamples, labels_of_each

from ...models.losses.clip_grouping import send_to
from ..run_parts import training_scores

# A collapsed network's answer moves from class to class with the labels it
# has seen last, so counts over an epoch would look varied. From one iteration
# to the next it is one answer.
_SAME_ANSWERS = 0.85
_SAME_LABELS = 0.6
# Every training from scratch starts with a while of this.
_MIN_STEPS = 200

_WARNING = (
    'Training may have collapsed: in the last {iters} iterations, clips of '
    'different videos got the same answer in {answers:.0%} of the cases, '
    'but have the same label in {labels:.0%}. The network answers alike '
    'whatever a clip shows, and the consistent constraint holds it there. '
    'What helps: start from the conv layers of a clip-level model '
    '(pretrained_convs of C3DLite, load_from of other backbones); more '
    'videos a step (batch_size, GPUs, optim_wrapper.accumulative_counts); a '
    'lower learning rate; a smaller alpha of VideoLevelLoss. See '
    'docs/training_logs.md.'
)


@HOOKS.register_module()
class CollapseWarningHook(Hook):
    """Warn, once, when all clips of all videos get the same answer.

    With few videos a step, training from scratch can end in a network that
    answers every clip alike; the consistent constraint is then near 0, which
    looks like success. At the end of an epoch, but not before 200 steps of the
    optimizer are seen, it is asked how often

    - a clip of an iteration and one of the next get the same answer,
    - and how often the two have the same label.

    A warning is logged if the first is 85% or more, and the second 60% or
    less. So there is none where the data are of one class, or sorted by it.
    Clips with scores that are not finite have no answer.

    Counts stay on the device and are read, and added up over the processes,
    once an epoch. Needs a video-level head; with others it does nothing.
    """

    def before_train(self, runner: Runner) -> None:
        """Start to count."""
        self._warned = False
        self._previous: Optional[Tensor] = None
        self._start()

    def _start(self) -> None:
        self._iters = self._steps = 0
        self._same = torch.zeros(2)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Optional[dict] = None,
    ) -> None:
        """Compare a batch with the one before; warn at the end of an epoch."""
        scores = training_scores(runner.model)
        if scores is None or self._warned:
            return
        shares = _class_shares(scores, data_batch['data_samples'])
        if self._previous is not None:
            same = (shares * self._previous).sum(dim=1)
            self._same = send_to(self._same, same.device) + same
            self._iters += 1
            self._steps += _makes_a_step(runner.optim_wrapper)
        self._previous = shares
        # An iteration-based loop counts on through the epochs.
        ended = (batch_idx + 1) % len(runner.train_dataloader) == 0
        if ended and self._steps >= _MIN_STEPS:
            self._judge(runner)
            self._start()

    def _judge(self, runner: Runner) -> None:
        same = self._same.double().cpu() / self._iters
        all_reduce(same, op='mean')
        answers, labels = same.tolist()
        if answers >= _SAME_ANSWERS and labels <= _SAME_LABELS:
            self._warned = True
            found = dict(iters=self._iters, answers=answers, labels=labels)
            runner.logger.warning(_WARNING.format(**found))


def _makes_a_step(optim_wrapper: Any) -> bool:
    """Whether this iteration ends an accumulation of gradients."""
    one = isinstance(optim_wrapper, OptimWrapper)
    return optim_wrapper.should_update() if one else True


def _class_shares(scores: Tensor, data_samples: DataSamples) -> Tensor:
    """Share of each class in the answers (M, K) and in the labels, (2, K)."""
    num_clips, num_classes = scores.shape
    shares = scores.new_zeros(num_classes, dtype=torch.float32)
    finite = scores.isfinite().all(dim=1).float()
    answers = shares.index_add(0, scores.argmax(dim=1), finite) / num_clips

    labels = labels_of_each(data_samples)
    if labels.is_floating_point():
        labels = labels.argmax(dim=1)
    labels = torch.bincount(labels.flatten(), minlength=num_classes)
    labels = labels.float() / len(data_samples)
    return torch.stack([answers, send_to(labels, scores.device)])

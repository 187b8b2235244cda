"""Stops training at scores that are not finite, and names the videos."""

from collections import Counter
from collections.abc import Sequence
from typing import Optional

from mmaction.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor

from ..run_parts import training_scores, unwrapped

_NAMED = 10


@HOOKS.register_module()
class FiniteScoresHook(Hook):
    """Stop training, rather than train on scores that are NaN or infinite.

    The scores of the batch, and the gradient of the head, which is that of
    all processes, are looked at right before the optimizer's step, so the
    weights stay as they were and no checkpoint is saved of worse ones. There
    MMEngine has just read the norm of the gradient, where ``clip_grad`` is
    set, so the look does not make the CPU wait for the GPU; without
    ``clip_grad`` it waits there rather than after the step, for the loss.
    Iterations without a step (gradient accumulation, a step that the loss
    scaler of mixed precision skips) are looked at after MMEngine has read
    their loss.

    With mixed precision gradients overflow now and then, and the loss scaler
    deals with it: only the scores count.

    Needs a video-level head; with others it does nothing.

    Raises:
        FloatingPointError: While training. The message names the iteration
            and the files of the videos.
    """

    def before_train(self, runner: Runner) -> None:
        """Get ready to look at each step."""
        self._handle = None
        if isinstance(runner.optim_wrapper, OptimWrapper):
            self._handle = (
                runner.optim_wrapper.optimizer.register_step_pre_hook(
                    lambda *_: self._check(runner, before_step=True)
                )
            )

    def after_train(self, runner: Runner) -> None:
        """Leave the optimizer alone again."""
        if self._handle is not None:
            self._handle.remove()

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict
    ) -> None:
        """Note the batch."""
        # MMEngine's vis_scheduler.py trains on plain numbers.
        known = isinstance(data_batch, dict)
        self._data_samples = data_batch['data_samples'] if known else ()
        self._checked = False

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Look at the scores if there was no step."""
        if not self._checked:
            self._check(runner, before_step=False)

    def _check(self, runner: Runner, before_step: bool) -> None:
        self._checked = True
        scores = training_scores(runner.model)
        if scores is None:
            return
        finite = scores.isfinite().all(dim=1)
        good = finite.all()
        if before_step:
            for parameter in unwrapped(runner.model).cls_head.parameters():
                if parameter.grad is not None:
                    good = good & parameter.grad.isfinite().all()
        if not good:
            raise FloatingPointError(self._message(runner, finite))

    def _message(self, runner: Runner, finite: Tensor) -> str:
        where = f'Training stops in iteration {runner.iter + 1}'
        bad = (~finite).nonzero().flatten().tolist()
        files = _file_of_each(self._data_samples, len(finite))
        clips = Counter(files)
        if bad:
            found = Counter(files[clip] for clip in bad)
            what = f'scores are NaN or infinite for {_names(found, clips)}.'
        else:
            what = (
                'the gradient is NaN or infinite, although the scores of '
                f'this process are not, for {_names(clips, clips)}.'
            )
            if get_world_size() > 1:
                what += ' See the error of the other processes, too.'
        if all(p.isfinite().all() for p in runner.model.parameters()):
            advice = (
                'The weights are finite: the step was not made. Look at '
                'these videos; if they are in order, lower the learning '
                'rate, set optim_wrapper.clip_grad, or train without --amp.'
            )
        else:
            advice = (
                'The weights are not finite either: an earlier step, or the '
                'checkpoint that training started from, has spoilt them, and '
                'not these videos. Go on from an earlier checkpoint.'
            )
        return f'{where}: {what} {advice}'


def _file_of_each(data_samples: Sequence, num_clips: int) -> list[str]:
    """File of the video of each clip."""
    files = [
        sample.get('filename')
        or sample.get('frame_dir')
        or f'video_id {sample.get("video_id")}'
        for sample in data_samples
    ]
    views = num_clips // len(files)
    return [files[clip // views] for clip in range(num_clips)]


def _names(found: Counter, clips: Counter) -> str:
    """Files and clips in words."""
    names = [
        f'{name} ({number} of {clips[name]} clips)'
        for name, number in found.items()
    ]
    more = len(names) - _NAMED
    rest = f' and {more} more videos' if more > 0 else ''
    return ', '.join(names[:_NAMED]) + rest

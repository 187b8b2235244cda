"""Logs how many clips a second train, and how long training waits for them."""

from collections import deque
from collections.abc import Sequence
from typing import Optional, Union

import torch
from mmaction.registry import HOOKS
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import Runner
from torch import Tensor


@HOOKS.register_module()
class TrainingSpeedHook(Hook):
    """Log ``clips_per_second`` and ``data_wait``.

    A batch of whole videos has another number of clips each time, so the
    time of an iteration alone does not tell how fast training is.

    - ``clips_per_second``: clips that all processes together train, per
      second of wall time. Validation does not count.
    - ``data_wait``: share of the time that training waits for the next
      batch, 0 to 1, mean over the processes. Near 0, the data keep up.

    Both are over the last iterations, as many as the log processor's
    ``window_size``: the sum of the clips through the sum of the times that
    ``IterTimerHook`` takes. The processes add up theirs when ``LoggerHook``
    writes a line; no iteration waits for another process or the GPU.
    """

    def before_train(self, runner: Runner) -> None:
        """Start to count."""
        self._iters: deque = deque(maxlen=runner.log_processor.window_size)
        loggers = [x for x in runner.hooks if isinstance(x, LoggerHook)]
        self._interval = loggers[0].interval if loggers else 0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict,
        outputs: Optional[dict] = None,
    ) -> None:
        """Count, and hand the figures over where a line is to be logged."""
        hub = runner.message_hub
        if 'train/time' not in hub.log_scalars:
            return  # a config without IterTimerHook
        times = [
            hub.get_scalar(f'train/{name}').current()
            for name in ('data_time', 'time')
        ]
        self._iters.append([_num_clips(data_batch['inputs']), *times])
        if not (
            self.every_n_inner_iters(batch_idx, self._interval)
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
        ):
            return
        total = torch.tensor(list(self._iters), dtype=torch.float64).sum(dim=0)
        all_reduce(total)
        clips, waited, seconds = total.tolist()
        hub.update_scalar(
            'train/clips_per_second', clips * get_world_size() / seconds
        )
        hub.update_scalar('train/data_wait', waited / seconds)


def _num_clips(inputs: Union[Tensor, Sequence[Tensor]]) -> int:
    """Clips of a batch: samples, or in 3D their views, (V, C, T, H, W)."""
    if isinstance(inputs, Tensor):  # of clip_collate
        return inputs.shape[:-4].numel() if inputs.dim() > 5 else len(inputs)
    return sum(len(views) if views.dim() > 4 else 1 for views in inputs)

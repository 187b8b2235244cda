"""A resumed run goes on in the data where the stopped one was."""

from typing import Any

from mmaction.registry import HOOKS
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner

from vll_mmaction.datasets import KeyedBatchSampler

# In the message hub, which MMEngine keeps in every checkpoint.
EPOCHS_COUNTED = 'epochs_counted'
# MMEngine prints what begins with val beside the metrics.
VALIDATED_ITER = 'last_validated_iter'


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Resume exactly: the same batches in the same order, none twice.

    MMEngine resumes at the start of an epoch (epoch-based loop) or reads all
    batches that are done once more (iteration-based loop), shuffles by a
    new seed if none was given, and leaves out the validation that was to
    follow the checkpoint. With this hook, and one of this package's batch
    samplers, done batches are skipped without reading them, the order follows
    the seed in the checkpoint, the log goes on with the same steps, and a
    validation that is due comes first.

    Gradient accumulation starts anew with each epoch of an epoch-based loop,
    an incomplete last accumulation being scaled by MMEngine, since gradients
    that wait for more are not in a checkpoint. A checkpoint that is saved
    while some wait is not exact, and the log says so.

    Together with ``IterSeedHook`` the resumed run equals one in one go, with
    the same number of processes. With another number, or another batch size,
    it goes on at the start of the epoch that was under way, or, after whole
    epochs, of the next one, and counts iterations on.
    """

    # Its validation needs all other hooks ready.
    priority = 'LOWEST'

    def before_run(self, runner: Runner) -> None:
        """Note the seed before a checkpoint brings its own."""
        self._seed = runner.seed
        self._warned = False

    def before_train(self, runner: Runner) -> None:
        """Go to the batch that comes next, and validate if that is due."""
        batches = runner.train_dataloader.batch_sampler
        self._exact = isinstance(batches, KeyedBatchSampler)
        self._counted = dict(
            iter=0, epoch=0, batches=len(runner.train_dataloader)
        )
        if self._exact:
            self._go_on(runner, batches)
        if runner.iter:
            self._validate_if_due(runner)

    def _go_on(self, runner: Runner, batches: KeyedBatchSampler) -> None:
        hub, loop = runner.message_hub, runner.train_loop
        by_iter = isinstance(loop, IterBasedTrainLoop)
        now: dict[str, int] = dict(
            batches=len(batches),
            batch_size=batches.batch_size,
            processes=get_world_size(),
        )
        # "At iteration `iter` epoch `epoch` began, and since then epochs are
        # of so many batches." Older checkpoints do not say it.
        counted = dict(iter=0, epoch=0, **now)
        if runner.iter:
            counted = hub.runtime_info.get(EPOCHS_COUNTED, counted)
            # A sampler with a seed of its own in the config keeps it.
            if batches.sampler.seed == self._seed:
                batches.sampler.seed = runner.seed
        done = runner.iter - counted['iter']
        if by_iter:
            epochs, done = divmod(done, counted['batches'])
            epoch = counted['epoch'] + epochs
        else:
            epoch = runner.epoch
            done -= (epoch - counted['epoch']) * counted['batches']
        same = all(counted[name] == value for name, value in now.items())
        if not same or not 0 <= done <= len(batches):
            # With all of an epoch done, what follows it is still to be done.
            whole = done == counted['batches']
            self._tell(runner, epoch, done, counted, now)
            done = len(batches) if whole else 0
            counted = dict(iter=runner.iter - done, epoch=epoch, **now)
        self._counted = counted
        hub.update_info(EPOCHS_COUNTED, counted)
        if by_iter:
            if runner.iter:
                batches.skip(epoch, done)
                batches.sampler.set_epoch(epoch)
                loop.dataloader_iterator = _Advanced(
                    loop.dataloader_iterator, runner.iter, epoch
                )
            return
        batches.skip(epoch, done)
        left = (loop.max_epochs - counted['epoch']) * len(batches)
        loop._max_iters = counted['iter'] + left
        hub.update_info('max_iters', loop.max_iters)

    def _tell(
        self, runner: Runner, epoch: int, done: int, counted: dict, now: dict
    ) -> None:
        """Say what another number of processes means."""
        shape = (
            '{batches} batches of {batch_size} on each of {processes} '
            'process(es)'
        )
        text = (
            f'Resuming after {runner.iter} iterations: an epoch was '
            f'{shape.format(**counted)} and is {shape.format(**now)} now. The '
            'result will not be that of one run. '
        )
        if done in (0, counted['batches']):
            text += 'All epochs so far are whole, and the next one follows.'
        else:
            text += (
                f'Epoch {epoch + 1} was under way and starts anew: its first '
                'batches come twice.'
            )
        runner.logger.warning(text)

    def _validate_if_due(self, runner: Runner) -> None:
        """A checkpoint comes before the validation of its epoch."""
        loop, hub = runner.train_loop, runner.message_hub
        if runner.val_loop is None:
            return
        if isinstance(loop, IterBasedTrainLoop):
            turn, last = loop.iter, loop.max_iters
        elif self._done(runner):
            return
        else:
            turn, last = loop.epoch, loop.max_epochs
        loop._decide_current_val_interval()
        due = turn >= loop.val_begin and (
            turn % loop.val_interval == 0 or turn == last
        )
        if due and hub.runtime_info.get(VALIDATED_ITER) != runner.iter:
            runner.logger.info('The checkpoint is to be validated first.')
            runner.val_loop.run()

    def _done(self, runner: Runner) -> int:
        """Batches of the epoch under way that were done."""
        epochs = runner.epoch - self._counted['epoch']
        whole = epochs * self._counted['batches']
        return runner.iter - self._counted['iter'] - whole

    def before_train_epoch(self, runner: Runner) -> None:
        """Count batches and accumulated gradients from the epoch's start."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            return
        done, steps = self._done(runner), len(runner.train_dataloader)
        if not (self._exact and 0 < done < steps):
            done = 0
        if done:
            # The loop counts what the dataloader gives it, and hooks log by
            # that number.
            run_iter = loop.run_iter
            loop.run_iter = lambda idx, data: run_iter(idx + done, data)
        if isinstance(runner.optim_wrapper, OptimWrapper):
            runner.optim_wrapper.initialize_count_status(
                runner.model, done, steps
            )

    def after_train_epoch(self, runner: Runner) -> None:
        """Let the next epoch count from 0 again."""
        vars(runner.train_loop).pop('run_iter', None)

    def before_val_epoch(self, runner: Runner) -> None:
        """Note it for the checkpoints to come."""
        runner.message_hub.update_info(VALIDATED_ITER, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Say if a checkpoint leaves gradients behind."""
        wrapper = runner.optim_wrapper
        if self._warned or not isinstance(wrapper, OptimWrapper):
            return
        if not wrapper.should_update():
            self._warned = True
            runner.logger.warning(
                f'The checkpoint after {wrapper.inner_count} batches of '
                'accumulated gradients is saved between two updates '
                f'(accumulative_counts={wrapper._accumulative_counts}): a '
                'run resumed from it lacks the gradients that wait. Save at '
                'the end of epochs, or at a multiple of it.'
            )


class _Advanced:
    """MMEngine's endless iterator, put behind batches that are done.

    The loop will ask for these only to skip them; the next is of ``epoch``.
    """

    def __init__(self, iterator: Any, done: int, epoch: int) -> None:
        # A new one of its kind: the old one has begun to read epoch 0.
        self._iterator = type(iterator)(iterator._dataloader)
        self._iterator._epoch = epoch
        self._done = done

    def __iter__(self) -> '_Advanced':
        return self

    def __next__(self) -> Any:
        if self._done:
            self._done -= 1
            return None
        return next(self._iterator)

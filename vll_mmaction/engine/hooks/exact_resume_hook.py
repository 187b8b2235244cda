"""A resumed run goes on in the data where the stopped one was."""

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop

from vll_mmaction.datasets import KeyedBatchSampler


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Resume exactly: the same batches in the same order, none twice.

    MMEngine resumes at the start of an epoch (epoch-based loop) or reads all
    batches that are done once more (iteration-based loop), and shuffles by a
    new seed if none was given. With this hook, and one of this package's
    batch samplers, done batches are skipped without reading them, and the
    order follows the seed in the checkpoint.

    Gradient accumulation starts anew with each epoch of an epoch-based loop,
    an incomplete last accumulation being scaled by MMEngine, since gradients
    that wait for more are not in a checkpoint. Checkpoints in mid-epoch are
    exact if their interval is a multiple of ``accumulative_counts``.

    Together with ``IterSeedHook`` the resumed run equals one in one go, with
    the same number of processes. With another number, it goes on after as
    many batches as were done, of another size.
    """

    def before_run(self, runner) -> None:
        """Note the seed before a checkpoint brings its own.

        Args:
            runner (Runner): The runner of the training process.
        """
        self._seed = runner.seed

    def before_train(self, runner) -> None:
        """Go to the batch that comes next.

        Args:
            runner (Runner): The runner of the training process.
        """
        batches = runner.train_dataloader.batch_sampler
        if runner.iter == 0 or not isinstance(batches, KeyedBatchSampler):
            return
        # A sampler with a seed of its own in the config keeps it.
        if batches.sampler.seed == self._seed:
            batches.sampler.seed = runner.seed
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            epoch, done = divmod(runner.iter, len(batches))
            batches.skip(epoch, done)
            batches.sampler.set_epoch(epoch)
            loop.dataloader_iterator = _Advanced(
                loop.dataloader_iterator, runner.iter, epoch
            )
            return
        done = runner.iter - runner.epoch * len(batches)
        # With all of them done, what follows an epoch is still to be done.
        if 0 <= done <= len(batches):
            batches.skip(runner.epoch, done)
        else:
            runner.logger.warning(
                f'The checkpoint was saved after {runner.iter} iterations in '
                f'{runner.epoch} epochs, which have {len(batches)} each now: '
                'the number of processes, the batch size or the data changed. '
                'Training goes on at the start of an epoch.'
            )

    def before_train_epoch(self, runner) -> None:
        """Let gradient accumulation start and end with the epoch.

        Args:
            runner (Runner): The runner of the training process.
        """
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            return
        if isinstance(runner.optim_wrapper, OptimWrapper):
            steps = len(runner.train_dataloader)
            done = runner.iter - runner.epoch * steps
            runner.optim_wrapper.initialize_count_status(
                runner.model, done if 0 < done < steps else 0, steps
            )


class _Advanced:
    """MMEngine's endless iterator, put behind batches that are done.

    Args:
        iterator (_InfiniteDataloaderIterator): The loop's own.
        done (int): Batches that the loop will ask for only to skip them.
        epoch (int): Epoch that the next batch belongs to.
    """

    def __init__(self, iterator, done: int, epoch: int) -> None:
        # A new one of its kind: the old one has begun to read epoch 0.
        self._iterator = type(iterator)(iterator._dataloader)
        self._iterator._epoch = epoch
        self._done = done

    def __iter__(self):
        return self

    def __next__(self):
        if self._done:
            self._done -= 1
            return None
        return next(self._iterator)

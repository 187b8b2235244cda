"""Mistakes in a config that would show late or never, found at the start."""

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from vll_mmaction.engine import config_checks


@HOOKS.register_module()
class ConfigCheckHook(Hook):
    """See before training that dataset, samplers, model and loss fit.

    One sample of the training data is read for it. See ``config_checks.py``
    for what is looked at; the documentation lists the messages.

    Raises:
        ValueError: In ``before_train``, if they don't; the message names the
            keys, their values and what to change.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the parts of the runner.

        Args:
            runner (Runner): The runner of the training process.
        """
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        loader = runner.train_dataloader
        config_checks.check_samplers(loader)
        config_checks.check_features(model, loader.dataset)
        config_checks.check_labels(model, loader.dataset)
        config_checks.check_loss(model, loader)
        config_checks.check_model(model)
        config_checks.check_clips(loader.dataset)
        config_checks.check_sample(model, loader.dataset)
        if runner.val_loop is not None:
            metrics = getattr(runner.val_evaluator, 'metrics', ())
            config_checks.check_labels(model, runner.val_dataloader.dataset)
            config_checks.check_features(model, runner.val_dataloader.dataset)
            config_checks.check_validation(
                model, runner.val_dataloader, metrics
            )
            config_checks.check_save_best(runner.hooks, metrics)

    def before_test(self, runner: Runner) -> None:
        """See that features are of the backbone that the model knows.

        Args:
            runner (Runner): The runner of the test.
        """
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        config_checks.check_features(model, runner.test_dataloader.dataset)

"""Mistakes in a config that would show late or never, found at the start."""

import sys
from collections.abc import Iterator

from mmaction.evaluation import AccMetric
from mmaction.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from vll_mmaction.engine import (
    config_checks,
    data_checks,
    feature_checks,
    silent_traps,
)
from vll_mmaction.engine.loops import ClipFeatureLoop
from vll_mmaction.engine.run_parts import unwrapped


@HOOKS.register_module()
class ConfigCheckHook(Hook):
    """See before the first step that dataset, samplers, model and loss fit.

    Before training and before a test. One sample of each dataset is read for
    it. See ``config_checks.py`` and ``data_checks.py`` for what is looked at;
    the documentation lists the messages. What is only suspicious
    (``silent_traps.py``) is a warning.

    Raises:
        ValueError: In ``before_train`` and ``before_test``, if they don't;
            the message names the keys, their values and what to change.
    """

    def before_run(self, runner: Runner) -> None:
        """Warn of command line options that reach nothing."""
        _warn(runner, silent_traps.unused_options(runner.cfg, sys.argv[1:]))

    def before_train(self, runner: Runner) -> None:
        """Check the parts of the runner."""
        model, loader = unwrapped(runner.model), runner.train_dataloader
        train, val = loader.dataset, None
        config_checks.check_samplers(loader)
        # Before the model: pixels for it are another mistake than its sizes.
        feature_checks.check_features(model, train)
        config_checks.check_loss(model, loader)
        config_checks.check_model(model)
        config_checks.check_collate(model, loader)
        self._check_data('train', model, train)
        if runner.val_loop is not None:
            loader, val = runner.val_dataloader, runner.val_dataloader.dataset
            metrics = getattr(runner.val_evaluator, 'metrics', ())
            config_checks.check_evaluation('val', model, loader, metrics)
            config_checks.check_save_best(runner.hooks, metrics)
            feature_checks.check_features(model, val)
            self._check_data('val', model, val)
        head = getattr(model, 'cls_head', None)
        num_classes = getattr(head, 'num_classes', None) or 0
        _warn(runner, silent_traps.uneven_classes(train, num_classes))
        _warn(runner, silent_traps.doubled_videos(train, val))

    def before_test(self, runner: Runner) -> None:
        """Check the parts that a test needs."""
        if isinstance(runner.test_loop, ClipFeatureLoop):
            return  # which scores nothing
        model, loader = unwrapped(runner.model), runner.test_dataloader
        evaluator = runner.test_evaluator
        if not data_checks.check_labelled('test', loader.dataset):
            _leave_out_accuracy(runner, evaluator)
        metrics = getattr(evaluator, 'metrics', ())
        config_checks.check_evaluation('test', model, loader, metrics)
        feature_checks.check_features(model, loader.dataset)
        self._check_data('test', model, loader.dataset)

    def _check_data(
        self, stage: str, model: nn.Module, dataset: Dataset
    ) -> None:
        data_checks.check_labelled(stage, dataset)
        data_checks.check_labels(model, dataset)
        if feature_checks.gives_features(dataset):
            return  # neither files of videos nor pixels
        data_checks.check_files(stage, dataset)
        if stage == 'train':
            data_checks.check_clips(dataset)
        data_checks.check_sample(stage, model, dataset)


def _leave_out_accuracy(runner: Runner, evaluator: Evaluator) -> None:
    """Without labels nothing is right or wrong."""
    kept = [m for m in evaluator.metrics if not isinstance(m, AccMetric)]
    if len(kept) < len(evaluator.metrics):
        evaluator.metrics = kept
        runner.logger.warning(
            'The videos of the test have no labels: AccMetric is left out.'
        )


def _warn(runner: Runner, sentences: Iterator[str]) -> None:
    if is_main_process():
        for sentence in sentences:
            runner.logger.warning(sentence)

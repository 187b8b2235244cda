import random
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from toy_run import toy_runner

RANK = 'vll_mmaction.engine.hooks.iter_seed_hook.get_rank'


def draws(seed=1, iteration=5, rank=0):
    """What is drawn in an iteration."""
    runner = SimpleNamespace(seed=seed, iter=iteration)
    with patch(RANK, return_value=rank):
        HOOKS.build(dict(type='IterSeedHook')).before_train_iter(runner, 0)
    return torch.rand(()).item(), np.random.rand(), random.random()


def test_draws_are_a_function_of_seed_iteration_and_rank():
    assert draws() == draws()
    others = [draws(seed=2), draws(iteration=6), draws(rank=1)]
    for generator in zip(draws(), *others):
        assert len(set(generator)) == 4
    # Their sums are alike, so a sum as a seed would be no good.
    assert draws(iteration=5, rank=1) != draws(iteration=6, rank=0)


@HOOKS.register_module(force=True)
class StopAfterFirstEpoch(Hook):
    """Stands for a machine that is switched off."""

    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize('seeded', [True, False])
def test_resumed_run_goes_on_as_if_never_stopped(tmp_path, seeded):
    def train(name, *hooks, resume=False):
        hooks = [dict(type='EMAHook'), *hooks]
        if seeded:
            hooks.append(dict(type='IterSeedHook'))
        runner = toy_runner(
            tmp_path / name, max_epochs=3, resume=resume, custom_hooks=hooks
        )
        return runner.train().state_dict()['linear.weight']

    whole = train('whole')
    with pytest.raises(KeyboardInterrupt):
        train('stopped', dict(type='StopAfterFirstEpoch'))
    resumed = train('stopped', resume=True)
    # Without the hook it goes wrong by dropout: the hook is what does it.
    assert torch.equal(whole, resumed) is seeded

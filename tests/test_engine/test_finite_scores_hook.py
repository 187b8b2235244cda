"""Scores that are not finite, from a video that is black throughout."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from contrast_net import ContrastNet  # noqa: F401  (registers it)
from mmengine.optim.optimizer import amp_optimizer_wrapper
from small_runner import small_runner
from stock_tools import ToolFailed, run_tool, small_config
from video_files import write_dataset

from vll_mmaction.__main__ import find_tool

FOLDER = Path(__file__).parents[1]
NET = (
    "model['backbone'] = dict(_delete_=True, type='ContrastNet')\n"
    "model['cls_head'].update(in_channels=3)\n"
    "train_dataloader['batch_size'] = 1\n"
    'param_scheduler = []\n'
)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    """Videos of 1, 2 and 4 clips; in 1.avi the second clip is black."""
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, [4, 8, 17])
    blacken(folder / 'videos/1.avi', range(4, 8))
    return folder


def blacken(path, numbers):
    capture = cv2.VideoCapture(str(path))
    frames = [frame for _, frame in iter(capture.read, (False, None))]
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'MJPG'), 25, (64, 48)
    )
    for number, frame in enumerate(frames):
        writer.write(np.zeros_like(frame) if number in numbers else frame)
    writer.release()


def weights(runner):
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


def note_weights(runner, before=lambda: None):
    """The weights as they are in each iteration, filled in training."""
    history = []
    step = runner.model.train_step

    def noting_train_step(*args, **kwargs):
        before()
        history.append(weights(runner))
        return step(*args, **kwargs)

    runner.model.train_step = noting_train_step
    return history


def multiply_loss(runner, factor):
    runner.model.cls_head.loss_cls.register_forward_hook(
        lambda *args: {name: x * factor for name, x in args[2].items()}
    )


def train_until_it_stops(runner):
    with pytest.raises(FloatingPointError) as error:
        runner.train()
    return str(error.value)


@pytest.mark.parametrize('clip_grad', [None, dict(max_norm=40)])
@pytest.mark.parametrize('accumulate', [1, 4])
def test_the_step_is_not_made(accumulate, clip_grad, data_root, tmp_path):
    runner = small_runner(
        tmp_path,
        data_root,
        NET + f'optim_wrapper.update(accumulative_counts={accumulate},\n'
        f'    clip_grad={clip_grad})\n'
        "train_dataloader['batch_size'] = 3\n",
    )
    history = note_weights(runner)
    message = train_until_it_stops(runner)
    assert 'stops in iteration 1: scores are NaN or infinite' in message
    assert 'videos/1.avi (1 of 2 clips).' in message
    assert '0.avi' not in message and '2.avi' not in message
    assert 'the step was not made' in message
    for name, value in weights(runner).items():
        assert torch.equal(value, history[-1][name])
    assert not list(tmp_path.rglob('*.pth'))


def test_weights_that_were_bad_before(data_root, tmp_path):
    runner = small_runner(tmp_path, data_root, NET)
    bias = runner.model.cls_head.fc_cls.bias.data
    note_weights(runner, before=lambda: bias.fill_(float('inf')))
    message = train_until_it_stops(runner)
    assert 'The weights are not finite either' in message


def test_a_loss_that_is_not_finite_on_finite_scores(data_root, tmp_path):
    finite = "train_dataloader['dataset']['indices'] = [0, 2]\n"
    runner = small_runner(tmp_path, data_root, NET + finite)
    multiply_loss(runner, float('nan'))
    message = train_until_it_stops(runner)
    assert 'the gradient is NaN or infinite, although' in message


def test_mixed_precision_may_skip_a_step(data_root, tmp_path, monkeypatch):
    # MMEngine's wrapper asserts a GPU.
    module = amp_optimizer_wrapper
    monkeypatch.setattr(module, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(
        module, 'GradScaler', lambda **kw: torch.amp.GradScaler('cpu', **kw)
    )
    amp = NET + (
        "optim_wrapper.update(type='AmpOptimWrapper', clip_grad=None,\n"
        '    loss_scale=dict(init_scale=2.0**127))\n'
        "train_dataloader['dataset']['indices'] = [{}]\n"
    )
    runner = small_runner(tmp_path, data_root, amp.format(2))
    multiply_loss(runner, 1e3)
    history = note_weights(runner)
    runner.train()
    assert runner.optim_wrapper.loss_scaler.get_scale() < 2.0**127
    for name, value in weights(runner).items():
        assert torch.equal(value, history[0][name])

    # Scores that are not finite are another matter.
    runner = small_runner(tmp_path, data_root, amp.format(1))
    message = train_until_it_stops(runner)
    assert 'videos/1.avi (1 of 2 clips)' in message


def test_divergence_is_named(data_root, tmp_path):
    runner = small_runner(
        tmp_path,
        data_root,
        NET + "train_dataloader['dataset']['indices'] = [0, 2]\n"
        'optim_wrapper.update(clip_grad=None)\n'
        "optim_wrapper['optimizer'] = dict(\n"
        "    _delete_=True, type='SGD', lr=1e38, momentum=0)\n",
    )
    history = note_weights(runner)
    message = train_until_it_stops(runner)
    assert 'iteration 2' in message and len(history) == 2
    assert all(x.isfinite().all() for x in weights(runner).values())


def test_no_process_makes_the_step(data_root, tmp_path):
    """The black clip is in one process; both stop, and nothing is saved."""
    config = small_config(
        tmp_path / 'config.py',
        'vll_c3d_ucf101.py',
        data_root,
        extra="custom_imports = dict(imports=['vll_mmaction',"
        "'contrast_net'])\n"
        + NET
        + "train_dataloader['dataset']['indices'] = [1, 2]\n"
        'train_dataloader.update(num_workers=0, persistent_workers=False)\n'
        'train_cfg = dict(max_epochs=1, val_interval=5)\n',
    )
    with pytest.raises(ToolFailed) as error:
        run_tool(
            'dist_train.sh',
            config,
            2,
            *('--work-dir', tmp_path / 'w'),
            cwd=tmp_path,
            PYTHONPATH=str(FOLDER),
        )
    assert 'videos/1.avi (1 of 2 clips)' in error.value.output
    assert not list(tmp_path.rglob('*.pth'))


def test_a_stock_tool_that_trains_on_numbers(data_root, tmp_path, monkeypatch):
    config = small_config(
        tmp_path / 'numbers.py', 'vll_c3d_ucf101.py', data_root
    )
    tool = find_tool('visualizations/vis_scheduler.py')
    plot = tmp_path / 'plot.png'
    words = f'-d 4 --not-show --save-path {plot} --log-level ERROR'.split()
    monkeypatch.setattr(sys, 'argv', [tool, config, *words])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(tool, run_name='__main__')
    assert plot.exists()

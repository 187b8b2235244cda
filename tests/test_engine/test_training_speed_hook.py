import json
import re

import numpy as np
import pytest
import torch
from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from small_runner import small_runner
from stock_tools import run_tool, small_config
from video_files import write_dataset

import vll_mmaction.models.heads.video_level_heads as heads

OURS = ('TrainingSpeedHook', 'CollapseWarningHook', 'FiniteScoresHook')


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, [4, 30, 9, 17, 3, 23])  # 20 clips
    return folder


@HOOKS.register_module(force=True)
class ClipsAndTimes(Hook):
    """Counts for itself, and reads what is there when a line is logged."""

    priority = 'VERY_LOW'

    def before_train(self, runner):
        self.rows = runner.rows = []

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        clips = len(data_batch['data_samples'])
        names = 'data_time', 'time', 'clips_per_second', 'data_wait'
        hub = runner.message_hub
        values = [hub.get_scalar(f'train/{x}').current() for x in names]
        self.rows.append([clips, *values])


def test_figures_are_sums_over_the_window(data_root, tmp_path):
    runner = small_runner(
        tmp_path,
        data_root,
        'log_processor = dict(window_size=3)\n'
        "train_dataloader['batch_size'] = 1\n"
        "optim_wrapper['accumulative_counts'] = 2\n"
        "model.update(type='VideoLevelRecognizer3D',\n"
        '             train_cfg=dict(_delete_=True, max_training_views=2))\n'
        "custom_hooks = [dict(type='TrainingSpeedHook'),\n"
        "                dict(type='ClipsAndTimes')]\n",
    )
    runner.train()
    rows = np.array(runner.rows)
    assert sorted(rows[:, 0]) == [1, 1, 2, 4, 5, 7]
    for end in range(1, 7):
        window = rows[max(0, end - 3) : end]
        clips, waited, seconds = window[:, :3].sum(axis=0)
        speed, wait = window[-1, 3:]
        assert speed == pytest.approx(clips / seconds)
        assert wait == pytest.approx(waited / seconds)
        assert 0 < wait < 1


def test_watching_changes_no_bit(data_root, tmp_path, monkeypatch):
    def train(extra=''):
        seed = 'randomness = dict(seed=4)\n'
        runner = small_runner(tmp_path, data_root, seed + extra)
        runner.train()
        return runner

    watched = train()
    assert {type(hook).__name__ for hook in watched.hooks} >= set(OURS)
    monkeypatch.setattr(heads, '_consistency', lambda *_: {})
    bare = train("custom_hooks = [dict(type='IterSeedHook')]\n")
    assert 'train/agreement' in watched.message_hub.log_scalars
    assert 'train/agreement' not in bare.message_hub.log_scalars
    wanted = bare.model.state_dict()
    for name, value in watched.model.state_dict().items():
        assert torch.equal(value, wanted[name])
    for term in ('loss_ce', 'loss_ccl', 'grad_norm'):
        one, two = (
            run.message_hub.get_scalar(f'train/{term}').data[0].tolist()
            for run in (watched, bare)
        )
        assert one == two


def test_two_processes_add_up_and_tensorboard_shows_all(tmp_path):
    write_dataset(tmp_path, [17, 16, 18, 19])  # of 4 clips
    config = small_config(
        tmp_path / 'config.py',
        'vll_c3d_ucf101.py',
        tmp_path,
        extra="train_dataloader['batch_size'] = 1\n"
        'train_cfg = dict(max_epochs=2, val_interval=1)\n'
        'default_hooks = dict(logger=dict(interval=1))\n'
        "vis_backends = [dict(type='LocalVisBackend'),\n"
        "                dict(type='TensorboardVisBackend')]\n"
        'visualizer = dict(vis_backends=vis_backends)\n',
    )
    log = run_tool(
        'dist_train.sh',
        config,
        2,
        *('--work-dir', tmp_path / 'w'),
        cwd=tmp_path,
    )
    (folder,) = tmp_path.glob('w/*/vis_data')
    lines = (folder / 'scalars.json').read_text().splitlines()
    *_, last, val = map(json.loads, lines)
    # How fast is another matter on a busy machine.
    assert last['clips_per_second'] > 0
    assert 0 <= last['data_wait'] <= 1
    names = 'loss_ce', 'loss_ccl', 'wrong_clips', 'agreement'
    names += 'clips_per_second', 'data_wait'
    for name in names:
        assert f'{name}: {last[name]:.4f}' in log
    # Agreement of a validation is its own, not a mean over the last ones.
    pattern = Config.fromfile(config).log_processor.mean_pattern
    assert re.search(pattern, 'agreement')
    assert 'clip/agreement' in val
    assert not re.search(pattern, 'clip/agreement')

    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(str(folder)).Reload()
    assert set(names) <= set(events.Tags()['scalars'])
    shown = events.Scalars('agreement')[-1]
    assert shown.step == last['step'] == 4
    assert shown.value == pytest.approx(last['agreement'])

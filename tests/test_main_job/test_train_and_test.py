"""The main job, through stock train.py and test.py on real video files."""

import json
import re

import numpy as np
import pytest
import torch
from stock_tools import ToolFailed, run_tool, small_config
from video_files import write_dataset

from vll_mmaction.evaluation import consistency_figures, load_clip_results


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, [4, 30, 9, 17, 3, 23])
    return folder


def weights(work_dir, epoch):
    path = work_dir / f'epoch_{epoch}.pth'
    checkpoint = torch.load(path, map_location='cpu')
    return checkpoint['state_dict'], checkpoint


ATTENTION = """
model['cls_head'].update(
    type='VideoAttentionI3DHead',
    attention_channels=8,
    average_clips='attention',
    loss_cls=dict(_delete_=True, type='VideoAttentionLoss'))
"""
TERMS = dict(clip=['loss_cls'], attention=['loss_ce', 'loss_video'])


# Two processes wait for each other's gradient of each parameter, also where a
# video has one clip. What VideoLevelLoss learns resumes in
# test_exact_resume_hook.py.
@pytest.mark.parametrize('level, processes', [('clip', 0), ('attention', 2)])
def test_train_resume_and_test(level, processes, data_root, tmp_path):
    base = 'vll' if level == 'attention' else level
    config = small_config(
        tmp_path / f'{level}.py',
        f'{base}_c3d_ucf101.py',
        data_root,
        extra=ATTENTION if level == 'attention' else '',
    )
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    train = ('dist_train.sh', config, processes, '--seed', 5, '--work-dir')
    log = run_tool(*train, whole, cwd=tmp_path)
    for term in TERMS[level]:
        assert re.search(rf'Epoch\(train\) .* {term}: \d', log)

    # Stopped after an epoch and resumed: the same to the last bit, although
    # crops and dropout are random.
    options = ('--cfg-options', 'train_cfg.max_epochs=1')
    run_tool(*train, parts, *options, cwd=tmp_path)
    run_tool(*train, parts, '--resume', cwd=tmp_path)
    wanted, checkpoint = weights(whole, 2)
    found, resumed = weights(parts, 2)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    momentum = checkpoint['optimizer']['state']
    for number, state in resumed['optimizer']['state'].items():
        for name, value in state.items():
            assert torch.equal(value, momentum[number][name])

    # Two processes test what one trained.
    checkpoint = whole / 'epoch_2.pth'
    test = ('dist_test.sh', config, checkpoint)
    alone = run_tool(*test, 0, '--work-dir', tmp_path / 'a', cwd=tmp_path)
    out_file = tmp_path / f'work_dirs/{level}/clip_results.npz'
    first = load_clip_results(out_file)
    run_tool(*test, 2, '--work-dir', tmp_path / 'b', cwd=tmp_path)
    second = load_clip_results(out_file)
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(second, name))
    assert len(first) == 6
    assert np.diff(first.video_offsets).tolist() == [1, 7, 2, 4, 1, 5]
    (metrics,) = (tmp_path / 'a').glob('*/*.json')
    metrics = json.loads(metrics.read_text())
    if level == 'attention':
        assert len(first.clip_weights) == len(first.clip_scores)
        assert metrics['acc/top1'] == metrics['clip/video_acc_attention']
        assert wanted['cls_head.gate.w.weight'].any()
    else:
        assert metrics['acc/top1'] == metrics['clip/video_acc_vote']
    for name, value in consistency_figures(first).items():
        assert metrics[f'clip/{name}'] == pytest.approx(value)
    assert 'Clip results saved to' in alone


def test_two_processes_average_to_the_gradient_of_one(tmp_path):
    """A video a process gives the step of both videos in one process."""
    write_dataset(tmp_path, [4, 30])
    extra = (
        "model['backbone'].update(dropout_ratio=0)\n"
        'train_cfg = dict(max_epochs=1, val_interval=5)\n'
        'param_scheduler = []\n'
        'optim_wrapper = dict(\n'
        "    _delete_=True, type='OptimWrapper',\n"
        "    optimizer=dict(type='SGD', lr=1.0))\n"
    )
    config = small_config(
        tmp_path / 'config.py',
        'vll_c3d_ucf101.py',
        tmp_path,
        crop='CenterCrop',
        extra=extra,
    )

    def step(name, processes, batch_size, lr=1.0):
        work_dir = tmp_path / name
        run_tool(
            'dist_train.sh',
            config,
            processes,
            *('--seed', 3, '--work-dir', work_dir, '--cfg-options'),
            f'train_dataloader.batch_size={batch_size}',
            f'optim_wrapper.optimizer.lr={lr}',
            cwd=tmp_path,
        )
        return weights(work_dir, 1)[0]

    start = step('start', 0, 2, lr=0.0)
    alone, shared = step('alone', 0, 2), step('shared', 2, 1)
    for name, value in start.items():
        wanted, found = value - alone[name], value - shared[name]
        assert wanted.abs().max() > 1e-4, f'{name} has no gradient'
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_stock_head_takes_the_loss_at_one_video_a_batch(data_root, tmp_path):
    extra = (
        "model['cls_head'].update(type='I3DHead', average_clips='prob')\n"
        "val_evaluator = [dict(type='AccMetric')]\n"
        'train_cfg = dict(max_epochs=1)\n'
        "train_dataloader['batch_size'] = {}\n"
    )

    def train(batch_size):
        config = small_config(
            tmp_path / 'config.py',
            'vll_c3d_ucf101.py',
            data_root,
            extra=extra.format(batch_size),
        )
        args = ('dist_train.sh', config, 0, '--work-dir', tmp_path / 'w')
        run_tool(*args, cwd=tmp_path)

    train(1)
    with pytest.raises(ToolFailed) as error:
        train(6)
    assert 'VideoLevelI3DHead' in error.value.output

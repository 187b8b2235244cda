"""Stopped and resumed equals in one go, to the last bit."""

import json

import pytest
import torch
from mmaction.datasets.transforms import DecordInit
from mmengine.config import Config
from mmengine.runner import Runner
from stock_tools import run_tool, small_config
from video_files import write_dataset

LENGTHS = [4, 30, 9, 17, 3, 23, 12]


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, LENGTHS)
    return folder


def make_config(data_root, level, loop, workers=0, accumulate=1):
    path = small_config(
        data_root / f'{level}.py', f'{level}_c3d_ucf101.py', data_root
    )
    config = Config.fromfile(path)
    config.merge_from_dict(
        {
            'train_dataloader.num_workers': workers,
            'train_dataloader.persistent_workers': workers > 0,
            'train_dataloader.batch_size': 2 if level == 'vll' else 5,
            'optim_wrapper.accumulative_counts': accumulate,
            'default_hooks.checkpoint.interval': 2,
            'default_hooks.checkpoint.by_epoch': False,
            'default_hooks.checkpoint.max_keep_ckpts': -1,
            'default_hooks.checkpoint.save_best': None,
            'default_hooks.logger.interval': 1,
        }
    )
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    if loop == 'iterations':
        config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=10)
        config.log_processor.by_epoch = False
        config.param_scheduler = [
            dict(type='MultiStepLR', by_epoch=False, milestones=[7])
        ]
    else:
        config.train_cfg = dict(by_epoch=True, max_epochs=3)
        config.param_scheduler = [
            dict(type='MultiStepLR', by_epoch=True, milestones=[1])
        ]
    return config


def train(config, work_dir, seed=3, resume=None):
    config = config.copy()
    config.work_dir = str(work_dir)
    config.randomness = dict(seed=seed)
    if resume:
        config.resume, config.load_from = True, str(resume)
    runner = Runner.from_cfg(config)
    runner.train()
    state = {
        name: value.clone()
        for name, value in runner.model.state_dict().items()
    }
    state['momentum'] = [
        entry['momentum_buffer'].clone()
        for entry in runner.optim_wrapper.state_dict()['state'].values()
    ]
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    return state, {row['step']: row for row in rows}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        values = (
            zip(value, found[name])
            if name == 'momentum'
            else [(value, found[name])]
        )
        assert all(torch.equal(a, b) for a, b in values), name


@pytest.mark.parametrize(
    'level, loop, workers, accumulate, stop',
    [
        ('vll', 'epochs', 0, 1, 2),
        ('vll', 'epochs', 2, 1, 6),
        ('vll', 'epochs', 0, 2, 4),
        ('clip', 'epochs', 1, 1, 2),
        ('vll', 'iterations', 0, 1, 2),
        ('vll', 'iterations', 2, 2, 6),
        ('clip', 'iterations', 0, 1, 8),
    ],
)
def test_in_the_middle_of_an_epoch(
    level, loop, workers, accumulate, stop, data_root, tmp_path, monkeypatch
):
    config = make_config(data_root, level, loop, workers, accumulate)
    wanted, curve = train(config, tmp_path / 'whole')
    opened = []
    original = DecordInit._get_video_reader

    def spy(self, filename):
        opened.append(filename)
        return original(self, filename)

    monkeypatch.setattr(DecordInit, '_get_video_reader', spy)
    found, rest = train(
        config,
        tmp_path / 'rest',
        resume=tmp_path / f'whole/iter_{stop}.pth',
    )
    assert_same(found, wanted)
    assert min(rest) == stop + 1 and max(rest) == max(curve)
    for step, row in rest.items():
        for name in ('loss', 'lr', 'grad_norm', 'top1_acc'):
            assert row[name] == curve[step][name]
    if level == 'vll' and not workers:
        # No done batch is read again: 2 videos a step.
        assert len(opened) == 2 * (max(curve) - stop)


def test_without_a_seed_the_checkpoint_brings_it(data_root, tmp_path):
    config = make_config(data_root, 'vll', 'epochs')
    wanted, _ = train(config, tmp_path / 'whole', seed=None)
    found, _ = train(
        config,
        tmp_path / 'rest',
        seed=None,
        resume=tmp_path / 'whole/iter_4.pth',
    )
    assert_same(found, wanted)


def test_an_epoch_ends_with_an_update(data_root, tmp_path):
    """4 batches accumulated by 3: the fourth counts, too, and alone."""
    config = make_config(data_root, 'vll', 'epochs', accumulate=3)
    config.default_hooks.checkpoint.interval = 4
    wanted, _ = train(config, tmp_path / 'whole')
    found, _ = train(
        config, tmp_path / 'rest', resume=tmp_path / 'whole/iter_4.pth'
    )
    assert_same(found, wanted)


def test_another_batch_size_is_told(data_root, tmp_path, caplog):
    config = make_config(data_root, 'vll', 'epochs')
    train(config, tmp_path / 'whole')
    config.train_dataloader.batch_size = 6
    train(config, tmp_path / 'rest', resume=tmp_path / 'whole/iter_8.pth')
    (log,) = (tmp_path / 'rest').glob('*/*.log')
    assert 'which have 2 each now' in log.read_text()


def test_two_processes(data_root, tmp_path):
    config = make_config(data_root, 'vll', 'epochs', workers=1)
    path = tmp_path / 'config.py'
    config.dump(path)
    run = ('dist_train.sh', path, 2, '--seed', 1, '--work-dir')
    run_tool(*run, tmp_path / 'whole', cwd=tmp_path, PORT='29532')
    stop = tmp_path / 'whole/iter_4.pth'
    rest = (*run, tmp_path / 'rest', '--resume', stop)
    run_tool(*rest, cwd=tmp_path, PORT='29532')

    def weights(name):
        path = tmp_path / name / 'iter_6.pth'
        return torch.load(path, weights_only=True)['state_dict']

    assert_same(weights('rest'), weights('whole'))

"""Stopped and resumed equals in one go, to the last bit."""

import itertools
import json

import pytest
import torch
from mmaction.datasets.transforms import DecordInit
from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from stock_tools import run_tool, small_config
from toy_run import toy_runner
from video_files import write_dataset

LENGTHS = [4, 30, 9, 17, 3, 23, 12]

_numbers = itertools.count()


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
            # Every third batch of an epoch, and its last.
            'default_hooks.logger.interval': 3,
        }
    )
    if accumulate > 1:
        # The draw of clips is to be repeated, too.
        config.model.type = 'VideoLevelRecognizer3D'
        config.model.train_cfg = dict(backward_share=0.5)
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    # It reads a video to try, which is not to be counted here.
    config.custom_hooks = [
        hook for hook in config.custom_hooks if 'Check' not in hook['type']
    ]
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
    # Two runs of one name in one second would share their log.
    config.experiment_name = f'run_{next(_numbers)}'
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
    assert sorted(rest) == [step for step in sorted(curve) if step > stop]
    for step, row in rest.items():
        for name in ('loss', 'lr', 'grad_norm', 'top1_acc'):
            assert row[name] == curve[step][name]
    if level == 'vll' and not workers:
        # No done batch is read again: 2 videos a step.
        steps = 12 if loop == 'epochs' else 10
        assert len(opened) == 2 * (steps - stop)


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


def read_log(work_dir):
    (log,) = work_dir.glob('*/*.log')
    return log.read_text()


def test_gradients_left_behind_are_told(data_root, tmp_path):
    """4 batches accumulated by 3, and the second is saved."""
    for interval, told in ((2, True), (4, False)):
        config = make_config(data_root, 'vll', 'epochs', accumulate=3)
        config.default_hooks.checkpoint.interval = interval
        train(config, tmp_path / str(interval))
        log = read_log(tmp_path / str(interval))
        assert ('saved between two updates' in log) is told


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
@pytest.mark.parametrize(
    'stop, told',
    [(6, 'Epoch 2 was under way and starts anew'), (8, 'epochs so far')],
)
def test_another_batch_size(loop, stop, told, data_root, tmp_path):
    """Epochs of 4 batches, then of 2: no video is left out, and all know."""
    config = make_config(data_root, 'vll', loop)
    train(config, tmp_path / 'whole')
    config.train_dataloader.batch_size = 6
    opened = []
    with pytest.MonkeyPatch.context() as patch:
        original = DecordInit._get_video_reader
        patch.setattr(
            DecordInit,
            '_get_video_reader',
            lambda self, name: opened.append(name) or original(self, name),
        )
        first = tmp_path / f'whole/iter_{stop}.pth'
        state, rows = train(config, tmp_path / 'rest', resume=first)
    log = read_log(tmp_path / 'rest')
    assert 'was 4 batches of 2 on each of 1 process(es) and is 2' in log
    assert told in log
    # Epoch 2 from its start or not, and epoch 3; 12 videos each, as 7 do not
    # fill 2 batches of 6.
    epochs = (12 - stop) // 2 - 1 if loop == 'epochs' else (10 - stop) // 2
    assert len(opened) == 12 * epochs
    if loop == 'epochs':
        assert max(rows) == stop + 2 * epochs
    # From a checkpoint of the new size on, it is exact again.
    if stop == 6:
        again = tmp_path / 'rest/iter_8.pth'
        found, _ = train(config, tmp_path / 'again', resume=again)
        assert_same(found, state)
        assert 'starts anew' not in read_log(tmp_path / 'again')


@HOOKS.register_module(force=True)
class StopInValidation(Hook):
    """Stands for a machine that is switched off then."""

    def before_val_epoch(self, runner):
        if runner.iter == 4:
            raise KeyboardInterrupt


@pytest.mark.parametrize('loop', ['epochs', 'iterations'])
def test_a_validation_that_was_missed_comes_first(loop, tmp_path):
    options = {}
    if loop == 'iterations':
        options = dict(
            train_cfg=dict(
                type='IterBasedTrainLoop', max_iters=4, val_interval=4
            ),
            checkpoint=dict(by_epoch=False, interval=4),
        )

    def train(*hooks, resume):
        runner = toy_runner(
            tmp_path,
            resume=resume,
            custom_hooks=[dict(type='ExactResumeHook'), *hooks],
            **options,
        )
        runner.train()
        return len(runner.message_hub.get_scalar('val/acc').data[0])

    with pytest.raises(KeyboardInterrupt):
        train(dict(type='StopInValidation'), resume=False)
    count = 2 if loop == 'epochs' else 1
    assert train(resume=True) == count
    # Not once more.
    assert train(resume=True) == count


def test_two_processes(data_root, tmp_path):
    config = make_config(data_root, 'vll', 'epochs', workers=1)
    path = tmp_path / 'config.py'
    config.dump(path)
    run = ('dist_train.sh', path, 2, '--seed', 1, '--work-dir')
    run_tool(*run, tmp_path / 'whole', cwd=tmp_path)
    stop = tmp_path / 'whole/iter_4.pth'
    rest = (*run, tmp_path / 'rest', '--resume', stop)
    run_tool(*rest, cwd=tmp_path)

    def weights(name):
        path = tmp_path / name / 'iter_6.pth'
        return torch.load(path, weights_only=True)['state_dict']

    assert_same(weights('rest'), weights('whole'))

"""The runner of the experiments: planning, going on, reporting."""

import csv
import fcntl
import json
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from experiments import cli, measured, report, results, runs, stats
from experiments.configs import (
    CONFIGS,
    ExperimentError,
    find_config,
    gpus_of,
)
from experiments.plans import Run
from experiments.rows import Row, Table
from experiments.tables import BY_NAME, TABLES
from feature_runs import VIDEOS, training_config, write_store, writing_config
from made_results import made_results
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from stock_tools import small_config
from test_configs import flat
from video_files import write_dataset

from vll_mmaction.evaluation import load_clip_results, save_clip_results
from vll_mmaction.models import class_layer

CLIP = CONFIGS / 'clip_c3d_ucf101_finetune.py'
VLL = CONFIGS / 'vll_c3d_ucf101_finetune.py'
START = CONFIGS / 'clip_c3d_ucf101.py'
ALPHA_04 = (('model.cls_head.loss_cls.alpha', 0.4),)
# Their rows differ otherwise, or by changes to one config.
OTHERS = (
    *('readings', 'table2', 'table4', 'beyond-some', 'beyond-most'),
    'ut-video-choice',
)
FEATURES = [
    table.name
    for table in TABLES
    if any(
        'features' in row.config or 'ut_' in row.config for row in table.rows
    )
    and not any('c3d_' in row.config for row in table.rows)
]


def test_every_row_has_its_config_which_tells_the_gpus():
    for table in TABLES:
        for row in table.rows:
            if row.config and not table.data_root:
                assert gpus_of(find_config(row.config)) == row.gpus
            elif row.config:
                find_config(row.config)
            else:
                assert row.paper is not None
                assert row.source


@pytest.mark.parametrize(
    'name', [x for x in BY_NAME if x not in (*OTHERS, *FEATURES)]
)
def test_rows_of_a_table_differ_in_samplers_and_loss_only(name):
    rows = [row.config for row in BY_NAME[name].rows]
    first, *others = (
        flat(Config.fromfile(CONFIGS / x).to_dict()) for x in rows
    )
    allowed = (
        'train_dataloader.batch_size',
        'train_dataloader.sampler',
        'train_dataloader.batch_sampler',
        'model.cls_head.loss_cls',
        'model.train_cfg.backward_share',
        'auto_scale_lr.base_batch_size',
        'ccl',
    )
    if name == 'ut-video':
        allowed += 'model.cls_head.type', 'model.cls_head.average_clips'
    for other in others:
        keys = first.keys() | other.keys()
        differ = {k for k in keys if first.get(k) != other.get(k)}
        assert differ
        assert {k for k in differ if not k.startswith(allowed)} == set()


def test_losses_of_the_rows():
    def losses(table):
        for row in BY_NAME[table].rows[1:]:
            config = Config.fromfile(CONFIGS / row.config)
            config.merge_from_dict(dict(row.changes))
            loss = config.model.cls_head.loss_cls
            mode = loss.get('ccl', {}).get('mode', 'ccl')
            yield row, loss.alpha, mode

    for table in ('table1', 'table1-scratch', 'generated-some'):
        found = [(alpha, mode) for _, alpha, mode in losses(table)]
        wanted = [(0, 'ccl'), (0.3, 'err'), (0.3, 'euc'), (0.3, 'ccl')]
        assert found == wanted
    for row, alpha, mode in losses('figure5'):
        assert (alpha, mode) == (row.alpha, 'ccl')


def test_released_code_decays_the_weights_of_the_last_layers_only():
    name = 'vll_c3d_ucf101_finetune_released-code.py'
    config = Config.fromfile(CONFIGS / name)
    config.model.backbone.update(fc_channels=8, pretrained_convs=None)
    config.model.cls_head.in_channels = 8
    model = MODELS.build(config.model)
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    names = {id(value): name for name, value in model.named_parameters()}
    decayed = {
        names[id(value)]
        for group in optimizer.param_groups
        for value in group['params']
        if group['weight_decay']
    }
    assert decayed == {
        'backbone.fc6.weight',
        'backbone.fc7.weight',
        'cls_head.fc_cls.weight',
    }
    model.init_weights()
    assert model.backbone.fc6.bias.eq(1).all()
    assert model.backbone.conv3.bias.eq(0).all()
    assert model.backbone.conv3.weight.std().item() == pytest.approx(
        0.01, rel=0.05
    )


@pytest.mark.parametrize('dataset', ['ucf101', 'hmdb51'])
def test_videos_seen_are_alike_on_both_data_sets(dataset):
    videos = dict(ucf101=9537, hmdb51=3570)[dataset]
    config = Config.fromfile(CONFIGS / f'vll_c3d_{dataset}_finetune.py')
    seen = [videos * x for x in config.param_scheduler[0].milestones]
    assert seen == pytest.approx([20000, 40000, 60000], rel=0.08)
    assert videos * config.train_cfg.max_epochs == pytest.approx(78000, 0.05)


# ------------------------------------------------------------------- planning


def test_changes_of_a_config_are_a_run_of_their_own(tmp_path):
    run = Run(VLL, 0, 1, tmp_path, changes=ALPHA_04)
    assert run.name == 'vll_c3d_ucf101_finetune_alpha0.4/split1_seed0'
    assert run.options(2)['model.cls_head.loss_cls.alpha'] == 0.4
    assert run.cfg.model.cls_head.loss_cls.alpha == 0.4
    assert run.fingerprint != Run(VLL, 0, 1, tmp_path).fingerprint
    assert run.start == Run(VLL, 0, 1, tmp_path).start


def test_split_and_start(tmp_path):
    run = Run(VLL, 4, 2, tmp_path)
    assert run.name == 'vll_c3d_ucf101_finetune/split2_seed4'
    assert run.start.name == 'clip_c3d_ucf101/split2_seed4'
    options = run.options(2)
    assert options['train_dataloader.dataset.ann_file'] == (
        'ucf101_train_split_2_videos.txt'
    )
    for loader in ('val', 'test'):
        name = options[f'{loader}_dataloader.dataset.ann_file']
        assert name == 'ucf101_val_split_2_videos.txt'
    path = options['model.backbone.pretrained_convs']
    assert path == str(run.start.folder / 'epoch_20.pth')
    out_file = options['test_evaluator.1.out_file']
    assert out_file == str(run.folder / 'clip_results.npz')


def test_steps_keep_their_videos_on_any_number_of_gpus(tmp_path):
    key = 'optim_wrapper.accumulative_counts'
    run = Run(VLL, 0, 1, tmp_path)
    assert key not in run.options(2)  # written for two: 2 x 4 batches
    assert run.options(1)[key] == 8
    assert run.options(0)[key] == 8
    assert run.options(8)[key] == 1
    with pytest.raises(ExperimentError, match='--gpus 1 or 2 or 4 or 8'):
        run.options(3)
    # Its schedule counts batches.
    name = 'vll_c3d_ucf101_finetune_released-code.py'
    released = Run(CONFIGS / name, 0, 1, tmp_path, gpus=1)
    assert key not in released.options(1)
    with pytest.raises(ExperimentError, match='use --gpus 1$'):
        released.options(2)


def test_folders_that_options_cannot_name(tmp_path):
    with pytest.raises(ExperimentError, match='spaces'):
        Run(VLL, 0, 1, tmp_path / 'my runs').options(2)


def test_fingerprint(tmp_path, monkeypatch):
    run = Run(VLL, 0, 1, tmp_path)
    assert Run(VLL, 0, 1, tmp_path / 'x').fingerprint == run.fingerprint
    others = [
        Run(VLL, 1, 1, tmp_path),
        Run(VLL, 0, 2, tmp_path),
        Run(CLIP, 0, 1, tmp_path),
    ]
    assert len({run.fingerprint, *(x.fingerprint for x in others)}) == 4
    same = Run(VLL, 0, 1, tmp_path)
    same.cfg.train_dataloader.num_workers = 99
    assert same.fingerprint == run.fingerprint
    changed = Run(VLL, 0, 1, tmp_path)
    changed.start.cfg.optim_wrapper.optimizer.lr = 7
    assert changed.fingerprint != run.fingerprint


def test_rows_on_features_build(tmp_path):
    init_default_scope('mmaction')
    for name in FEATURES:
        table = BY_NAME[name]
        runs_of = [table.run_of(row, 0, 3, tmp_path) for row in table.rows]
        assert len({run.name for run in runs_of}) == len(
            {run.fingerprint for run in runs_of}
        )
        for run in runs_of:
            assert run.on_features
            model = MODELS.build(run.cfg.model)
            layer = class_layer(model.cls_head)
            assert layer.in_features == model.backbone.out_channels
            names = run.data_options()
            if not name.startswith(('fights', 'share')):
                assert all('_3' in x for x in names.values() if '.txt' in x)


def write_config(folder, name, base=START, extra='', fold='split'):
    """A config with lists of its own."""
    path = folder / f'{name}.py'
    path.write_text(
        f'_base_ = {str(base)!r}\n'
        f"train_dataloader = dict(dataset=dict(ann_file='train_{fold}_1.txt',"
        f' data_root={str(folder)!r}))\n'
        f"val_dataloader = dict(dataset=dict(ann_file='test_{fold}_1.txt',"
        f' data_root={str(folder)!r}))\n'
        f'test_dataloader = val_dataloader\n{extra}'
    )
    return path


def test_folds_of_ones_own_lists(tmp_path):
    first = write_config(tmp_path, 'first', fold='fold')
    extra = "load_from = 'work_dirs/first/epoch_20.pth'\n"
    then = write_config(tmp_path, 'then', fold='fold', extra=extra)
    run = Run(then, 5, 12, tmp_path / 'out')
    assert run.name == 'other/then/fold12_seed5'
    assert run.start.config == first
    options = run.options(2)
    assert options['test_dataloader.dataset.ann_file'] == 'test_fold_12.txt'
    start = tmp_path / 'out/other/first/fold12_seed5/epoch_20.pth'
    assert options['load_from'] == str(start)
    assert f'{tmp_path}/train_fold_12.txt' in run.missing_data()
    other = Run(then, 5, 11, tmp_path / 'out')
    assert other.fingerprint != run.fingerprint


def test_features_of_a_start(tmp_path):
    table = BY_NAME['share-30']
    run = table.run_of(table.rows[1], 2, 1, tmp_path)
    assert run.start.config == CONFIGS / 'quickstart/clip_c3d_features.py'
    assert run.start.name == 'quickstart/clip_c3d_features/seed2'
    folder = str(tmp_path / f'generated-0.73/{run.start.name}/features')
    assert run.start.options(1)['test_cfg.out_dir'] == folder
    for loader in ('train_dataloader', 'test_dataloader'):
        assert run.options(1)[f'{loader}.dataset.features'] == folder
    roots = [f'test_dataloader.dataset.datasets.{i}.data_root' for i in (0, 1)]
    assert {run.start.options(1)[x] for x in roots} == {'data/generated/0.73'}
    # They are made, not missed.
    assert not any('features' in x for x in run.missing_data())


def test_features_that_are_there(tmp_path, monkeypatch):
    """In work_dirs, but of no config."""
    monkeypatch.chdir(tmp_path)
    Path('work_dirs/some').mkdir(parents=True)
    for name, there in (('some', True), ('other', False)):
        config = training_config(
            tmp_path / f'{name}.py', 'data', f'../work_dirs/{name}'
        )
        run = Run(Path(config), 0, 1, tmp_path)
        if there:
            assert run.start is None
        else:
            with pytest.raises(ExperimentError, match='neither a file nor'):
                run.options(1)


def test_a_start_that_has_seen_test_videos(tmp_path):
    """A checkpoint from elsewhere says on what it was trained."""
    for fold, videos in ((1, 'a b'), (2, 'c d')):
        lines = ''.join(f'{x}.avi 0\n' for x in videos.split())
        (tmp_path / f'test_fold_{fold}.txt').write_text(lines)
        (tmp_path / f'train_fold_{3 - fold}.txt').write_text(lines)
    config = write_config(tmp_path, 'first', fold='fold')
    text = Config.fromfile(config).pretty_text
    torch.save(dict(meta=dict(cfg=text)), tmp_path / 'model.pth')
    extra = f"load_from = '{tmp_path}/model.pth'\n"
    then = write_config(tmp_path, 'then', fold='fold', extra=extra)
    assert Run(then, 0, 1, tmp_path).start is None  # of the same fold
    with pytest.raises(ExperimentError, match=r'2 of the test videos of fold'):
        Run(then, 0, 2, tmp_path).options(1)


# -------------------------------------------------------------------- running


def write_results(path, right, names=None):
    """Results of videos of one clip, of which some are right."""
    scores = [[0.9, 0.1] if x else [0.1, 0.9] for x in right]
    names = names or [f'{k}.avi' for k in range(len(right))]
    results = made_results(scores, filenames=np.array(names))
    save_clip_results(str(path), results)


class FakeTools:
    """Stands in for train.py and test.py; remembers what was asked."""

    def __init__(self):
        self.calls = []
        self.fail = self.right = None

    def __call__(self, words, log, lock):
        tool = Path(words[1]).stem.removeprefix('dist_')
        folder = Path(words[words.index('--work-dir') + 1])
        name = str(folder.parent.name if tool == 'train' else words[3])
        self.calls.append((tool, name))
        self.resumed = '--resume' in words
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        if self.fail:
            self.fail(folder)
        if tool == 'train':
            epochs = Config.fromfile(words[2]).train_cfg.max_epochs
            with zipfile.ZipFile(folder / f'epoch_{epochs}.pth', 'w'):
                pass
        else:
            right = self.right or [1, 1, 0]
            write_results(folder.parent / 'clip_results.npz', right)


@pytest.fixture
def tools(monkeypatch):
    fake = FakeTools()
    monkeypatch.setattr(runs, '_start_tool', fake)
    return fake


def collect(config, out):
    row = Row('x', config.name)
    return measured.collect(row, Table('x', 'X', (row,)), out)


def state_of(run):
    return json.loads((run.folder / 'run.json').read_text())


def test_nothing_is_run_twice(tools, tmp_path):
    vll, clip = (Run(config, 0, 1, tmp_path) for config in (VLL, CLIP))
    assert runs.execute(vll, 2, {}) == 'trained and tested'
    assert runs.execute(clip, 2, {}) == 'trained and tested'
    trained = [name for tool, name in tools.calls if tool == 'train']
    assert trained == [START.stem, VLL.stem, CLIP.stem]
    assert sum(tool == 'test' for tool, _ in tools.calls) == 2
    for run in (vll, clip):
        assert runs.execute(run, 2, {}) == 'was done before'
    # The start is a row of another table: its test is all that is left.
    assert runs.execute(vll.start, 2, {}) == 'tested'
    assert len(tools.calls) == 6
    # Models may be deleted once all is done.
    vll.checkpoint.unlink()
    assert runs.execute(vll, 2, {}) == 'was done before'
    state = state_of(vll)
    assert state['accuracies']['vote'] == pytest.approx(2 / 3, abs=1e-6)
    assert state['config'] == VLL.name
    assert (state['seed'], state['fold'], state['gpus']) == (0, 1, 2)
    assert state['versions']['vll_mmaction']


def stop(folder, **files):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    raise KeyboardInterrupt


def test_goes_on_after_a_kill_in_training(tools, tmp_path):
    run = Run(START, 0, 1, tmp_path)
    half = {'epoch_20.pth': b'half', 'last_checkpoint': b'epoch_20.pth'}
    tools.fail = partial(stop, **half)
    with pytest.raises(KeyboardInterrupt):
        runs.execute(run, 2, {})
    assert state_of(run)['status'] == 'training'
    tools.fail = None
    assert not tools.resumed
    with pytest.raises(ExperimentError, match='use --gpus 2'):
        runs.execute(run, 1, {})
    assert runs.execute(run, 2, {}) == 'trained and tested'
    assert (run.folder / 'epoch_20.pth.damaged').read_bytes() == b'half'
    # There was no whole checkpoint to resume from.
    assert not (run.folder / 'last_checkpoint').exists()
    state = state_of(run)
    assert (state['status'], state['interruptions']) == ('done', 1)
    assert 'began' not in state


def test_resumes_from_a_checkpoint_only(tools, tmp_path):
    run = Run(START, 0, 1, tmp_path)
    whole = {'epoch_7.pth': b'', 'last_checkpoint': b'epoch_7.pth'}
    tools.fail = partial(stop, **whole)
    for resumed in (False, True):
        with pytest.raises(KeyboardInterrupt):
            runs.execute(run, 2, {})
        assert tools.resumed is resumed
    assert state_of(run)['status'] == 'training'


def test_goes_on_after_a_kill_in_the_test(tools, tmp_path):
    run = Run(START, 0, 1, tmp_path)

    def stop_in_the_test(folder):
        if folder.name == 'test':
            stop(folder.parent, **{'clip_results.npz': b'half'})

    tools.fail = stop_in_the_test
    with pytest.raises(KeyboardInterrupt):
        runs.execute(run, 2, {})
    tools.fail = None
    assert runs.execute(run, 2, {}) == 'tested'
    assert [tool for tool, _ in tools.calls] == ['train', 'test', 'test']


def test_a_failed_start_is_not_tried_again(tools, tmp_path):
    def fail(folder):
        raise ExperimentError('out of memory')

    tools.fail = fail
    failed = {}
    with pytest.raises(ExperimentError, match='out of memory'):
        runs.execute(Run(VLL, 0, 1, tmp_path), 2, failed)
    with pytest.raises(ExperimentError, match='seed0 failed before'):
        runs.execute(Run(CLIP, 0, 1, tmp_path), 2, failed)
    assert len(tools.calls) == 1


def test_tables_of_other_data_do_not_mix(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(cli, '_prepare', lambda table, run: None)
    names = ['generated-none', 'generated-most']
    words = ['--seeds', '0', '--gpus', '0', '--out', str(tmp_path)]
    cli.main(['run', names[0], *words])
    tools.right = [1, 1, 1]
    # A failure with one set of data says nothing about another.
    cli.main(['run', *names, *words])
    for name, right in zip(names, (200 / 3, 100)):
        table = BY_NAME[name]
        for row in table.rows:
            (run,) = measured.collect(row, table, tmp_path).runs.values()
            assert run.cfg.test_dataloader.dataset.data_root.endswith(
                f'data/generated/{name.removeprefix("generated-")}'
            )
            assert run.start.cfg.train_dataloader.dataset.data_root == (
                run.cfg.train_dataloader.dataset.data_root
            )
            found = measured.collect(row, table, tmp_path).values('vote')
            assert found == {(0, 1): pytest.approx(right, abs=1e-3)}
    assert len(tools.calls) == 2 * (1 + 2 * 5)


def test_results_of_another_version(tools, tmp_path):
    run = Run(START, 0, 1, tmp_path)
    runs.execute(run, 2, {})
    path = run.folder / 'run.json'
    text = path.read_text()
    for old, new, message in (
        ('"format": 2', '"format": 7', 'has format 7'),
        (run.fingerprint, 'x' * 16, 'another version of clip_c3d_ucf101.py'),
        ('{', '', 'not the state of a run'),
    ):
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(ExperimentError, match=message):
            runs.execute(run, 2, {})
        row = collect(START, tmp_path)
        assert not row.states
        assert message in row.problems[0]
    assert len(tools.calls) == 2


def test_a_folder_that_is_not_ours(tools, tmp_path):
    run = Run(START, 0, 1, tmp_path)
    run.folder.mkdir(parents=True)
    (run.folder / 'epoch_3.pth').touch()
    with pytest.raises(ExperimentError, match='not from this tool'):
        runs.execute(run, 2, {})
    assert not tools.calls


def test_a_run_that_another_process_works_on(tools, tmp_path):
    run = Run(START, 0, 1, tmp_path)
    run.folder.mkdir(parents=True)
    with open(run.folder / '.lock', 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ExperimentError, match='another process'):
            runs.execute(run, 2, {})
    assert runs.execute(run, 2, {}) == 'trained and tested'


def test_missing_data_is_told(tools, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.main(['run', 'table1', '--seeds', '0', '--gpus', '0'])
    output = capsys.readouterr().out
    assert 'data/ucf101/ucf101_train_split_1_videos.txt' in output
    assert 'prepare.py' in output
    assert not tools.calls


def test_data_are_made_once(tmp_path, monkeypatch):
    """Two processes of the runner begin at the same time."""
    made = tmp_path / 'made'
    script = tmp_path / 'make.py'
    script.write_text(
        f"import time\ntime.sleep(0.3)\nopen({str(made)!r}, 'a').write('x')\n"
    )
    monkeypatch.setattr(
        Run, 'missing_data', lambda run: [] if made.exists() else ['train.txt']
    )
    table = Table('small', 'Small', (), prepare=(str(script),))
    run = Run(CLIP, 0, 1, tmp_path / 'out')
    # A lock on an open file holds among threads as among processes.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: cli._prepare(table, run), range(2)))
    assert made.read_text() == 'x'


def test_unknown_table(tmp_path, capsys):
    with pytest.raises(SystemExit, match='neither a config nor'):
        cli.main(['run', 'table9'])
    with pytest.raises(SystemExit, match='there is no config'):
        cli.main(['run', 'no/such.py'])


# ------------------------------------------------------------------ reporting


def test_mean_and_std():
    values = {(0, 1): 10.0, (0, 2): 20.0, (1, 1): 30.0, (1, 2): 40.0}
    mean, std = stats.mean_and_std(values)
    assert mean == 25
    assert std == pytest.approx(np.std([15, 35], ddof=1))
    assert stats.mean_and_std({(0, 1): 10.0}) == (10, None)


def test_folds_of_different_videos_are_one_test(tmp_path):
    """Each video counts alike, whatever fold it is in."""
    config = write_config(tmp_path, 'mine', fold='fold')
    base = write_config(tmp_path, 'base', fold='fold')
    table = Table('x', 'X', (Row('base', str(base)), Row('x', str(config))))
    rows = []
    for row, right in zip(table.rows, ('0100', '1101')):
        found = measured.Measured(row)
        for seed in (0, 1):
            for fold, names in ((1, 'a'), (2, 'bcd')):
                run = table.run_of(row, seed, fold, tmp_path)
                run.folder.mkdir(parents=True)
                bits = [int(right['abcd'.index(x)]) for x in names]
                write_results(run.results, bits, list(names))
                found.runs[seed, fold] = run
                found.states[seed, fold] = dict(
                    accuracies=results.accuracies(
                        load_clip_results(str(run.results))
                    )
                )
        rows.append(found)
    assert rows[1].weights == {1: 1, 2: 3}
    assert rows[1].pooled
    assert rows[1].spread('vote') == '75.00 ± 0.00'
    (differences,) = measured.paired_differences(rows[1], rows[0])
    assert differences.tolist() == [[1, 0, 0, 1]] * 2
    # One that lacks a fold of a seed is not compared by that seed.
    del rows[1].runs[1, 2]
    (differences,) = measured.paired_differences(rows[1], rows[0])
    assert differences.tolist() == [[1, 0, 0, 1]]


def test_attention_is_a_rule():
    some = made_results(
        [[0.9, 0.1], [0.2, 0.8], [0.2, 0.8]],
        (3,),
        clip_weights=np.array([0.9, 0.05, 0.05], np.float32),
    )
    right = results.right_videos(some)
    assert {rule: int(x[0]) for rule, x in right.items()} == dict(
        vote=0, mean_prob=0, attention=1
    )


def test_paired_interval():
    same = np.zeros((3, 50))
    assert stats.paired_interval([same]) == (0, 0)
    assert stats.paired_interval([same + 1]) == (1, 1)
    assert stats.paired_interval([]) is None
    rng = np.random.default_rng(0)
    one_seed = rng.choice([-1, 0, 1], p=[0.1, 0.7, 0.2], size=(1, 900))
    low, high = stats.paired_interval([one_seed])
    mean, error = one_seed.mean(), one_seed.std() / 30
    assert low == pytest.approx(mean - 1.96 * error, abs=error / 4)
    assert high == pytest.approx(mean + 1.96 * error, abs=error / 4)
    # Seeds that differ widen it.
    shifted = [one_seed[0], np.ones(900), -np.ones(900)]
    low, high = stats.paired_interval([np.array(shifted)])
    assert high - low > 0.5


TABLE = Table(
    'some',
    'Some table',
    (
        Row('other method', paper=42.5, source='Someone, 2018'),
        Row('clips', CLIP.name, 51.52, alpha=0),
        Row('videos', VLL.name, 58.76, alpha=0.3),
        Row('empty', VLL.name, alpha=0.4, changes=ALPHA_04),
    ),
)


def cells(text):
    return [
        [cell.strip() for cell in line[1:-1].split('|')]
        for line in text.splitlines()
        if line.startswith('| ') and '---' not in line
    ]


def test_report(tools, tmp_path):
    right = {
        (CLIP, 0): [1, 0, 0, 0],
        (CLIP, 1): [1, 0, 0, 0],
        (VLL, 0): [1, 1, 1, 0],
        (VLL, 1): [1, 1, 0, 0],
        (VLL, 2): [1, 1, 1, 1],
    }
    for (config, seed), tools.right in right.items():
        runs.execute(Run(config, seed, 1, tmp_path), 2, {})
    text = report.report(TABLE, tmp_path, tmp_path / 'report')
    head, other, clips, videos, empty = cells(text)
    assert head[:3] == ['training', 'paper', 'measured']
    assert other == ['other method', '42.5'] + [''] * 8 + ['Someone, 2018']
    assert clips[1:5] == ['51.52', '25.00 ± 0.00', '2 (split 1)', '']
    assert videos[1:4] == ['58.76', '75.00 ± 25.00', '3 (split 1)']
    # Of the seeds that both rows have.
    assert videos[4].startswith('+37.50 [')
    assert videos[4].endswith('2 paired')
    assert empty[1:10] == [''] * 9
    assert 'Not all rows have the same seeds' in text
    assert videos[7].endswith('(vote to vote)')
    folder = tmp_path / 'report'
    with open(folder / 'some.csv', newline='') as file:
        assert list(csv.reader(file)) == cells(text)
    with open(folder / 'some_runs.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(x['training'], x['seed']) for x in rows] == [
        ('clips', '0'),
        ('clips', '1'),
        ('videos', '0'),
        ('videos', '1'),
        ('videos', '2'),
    ]
    assert (folder / 'some.png').stat().st_size > 5000
    assert text == (folder / 'some.md').read_text()


def test_curve(tools, tmp_path):
    """A table with a run and one without."""
    tools.right = [1, 0, 0, 0]
    rows = (Row('clips', CLIP.name), Row('videos', VLL.name))
    tables = [Table(f'share-{x}', 'X', rows, share=x) for x in (100, 30)]
    tables[1] = replace(tables[1], data_root='data/other')
    for row, tools.right in zip(rows, ([1, 0, 0, 0], [1, 1, 1, 0])):
        runs.execute(tables[0].run_of(row, 0, 1, tmp_path), 2, {})
    folder = tmp_path / 'report'
    folder.mkdir()
    text = report.report_curve('share', tables, tmp_path, folder)
    _, many, few = cells(text)
    assert many[:2] == ['100%', '25.00']
    assert many[2].startswith('+50.0 [')
    assert few == ['30%', '', '']
    assert (folder / 'share.png').stat().st_size > 5000
    with open(folder / 'share.csv', newline='') as file:
        assert list(csv.reader(file)) == cells(text)


def test_report_without_any_run(tmp_path):
    text = report.report(BY_NAME['figure5'], tmp_path, tmp_path / 'report')
    assert all(row[2] == '' for row in cells(text)[1:])
    assert '.png' not in text
    assert not list((tmp_path / 'report').glob('*.png'))


def test_unfinished_runs_are_told_and_not_counted(tools, tmp_path):
    tools.fail = stop
    with pytest.raises(KeyboardInterrupt):
        runs.execute(Run(START, 0, 1, tmp_path), 2, {})
    table = Table('x', 'X', (Row('start', START.name),))
    text = report.report(table, tmp_path, tmp_path / 'report')
    assert 'Not finished: clip_c3d_ucf101/split1_seed0: training.' in text
    assert cells(text)[1][2:4] == ['', '']


def test_rows_of_other_test_videos_are_not_compared(tools, tmp_path):
    pair = [Run(config, 0, 1, tmp_path) for config in (CLIP, VLL)]
    for run in pair:
        runs.execute(run, 2, {})
    write_results(pair[1].results, [1, 1, 0], ['a', 'b', 'c'])
    with pytest.raises(ExperimentError, match='other test videos'):
        report.report(TABLE, tmp_path, tmp_path / 'report')


def test_copied_run_is_not_counted_twice(tools, tmp_path):
    run = Run(START, 0, 1, tmp_path)
    runs.execute(run, 2, {})
    run.folder.rename(run.folder.with_name('split1_seed5'))
    row = collect(START, tmp_path)
    assert not row.states
    assert 'holds the run' in row.problems[0]


# ----------------------------------------------------------------- for real


def test_one_process_does_what_stock_tools_do(tmp_path, monkeypatch, capfd):
    write_store(tmp_path, [9, 4, 13, 8, 20, 7])
    monkeypatch.chdir(tmp_path)
    config = training_config(
        tmp_path / 'small.py', tmp_path, 'features', extra=VIDEOS
    )
    words = ['run', config, '--seeds', '3', '4', '--gpus', '0']
    for folder, stock in (('own', False), ('stock', True)):
        if stock:
            monkeypatch.setattr(Run, 'in_process', False)
        cli.main([*words, '--out', folder])
    for seed in (3, 4):
        ours, theirs = (
            load_clip_results(f'{x}/other/small/seed{seed}/clip_results.npz')
            for x in ('own', 'stock')
        )
        assert np.array_equal(ours.clip_scores, theirs.clip_scores)
        own = tmp_path / f'own/other/small/seed{seed}'
        assert json.loads((own / 'run.json').read_text())['status'] == 'done'
        assert (own / 'epoch_2.pth').is_file()
    capfd.readouterr()
    cli.main([*words, '--out', 'own'])
    assert capfd.readouterr().out.count('was done before') == 2
    # Files of logs are closed, however many runs there were.
    logs = [
        os.readlink(x) for x in Path('/proc/self/fd').iterdir() if x.exists()
    ]
    assert sum(str(tmp_path / 'own') in x for x in logs) <= 1


def test_features_of_a_start_are_written(tmp_path, monkeypatch, capfd):
    write_dataset(tmp_path / 'data', [9, 4, 13, 8])
    monkeypatch.chdir(tmp_path)
    extra = "train_dataloader['num_workers'] = 0\n"
    writing_config(tmp_path / 'network.py', 'data', 'not/here', extra)
    config = training_config(
        tmp_path / 'head.py', 'data', '../work_dirs/network/features'
    )
    words = ['run', config, '--seeds', '0', '1', '--gpus', '0']
    cli.main([*words, '--out', 'out'])
    assert capfd.readouterr().out.count(': trained') == 2
    found = []
    for seed in (0, 1):
        start = Path(f'out/other/network/seed{seed}')
        state = json.loads((start / 'run.json').read_text())
        assert state['status'] == 'done'
        found.append(np.load(start / 'features/features.npy'))
        results = load_clip_results(
            f'out/other/head/seed{seed}/clip_results.npz'
        )
        assert len(results.clip_scores) == len(found[-1])
    assert not np.array_equal(*found)
    cli.main([*words, '--out', 'out'])
    assert capfd.readouterr().out.count('was done before') == 2


def test_a_failure_in_one_process(tmp_path, monkeypatch, capfd):
    write_store(tmp_path, [9, 4, 13])
    monkeypatch.chdir(tmp_path)
    config = training_config(
        tmp_path / 'small.py', tmp_path, 'features', channels=8
    )
    with pytest.raises(SystemExit):
        cli.main(['run', config, '--seeds', '0', '--gpus', '0'])
    assert 'FAILED: model.backbone.in_channels=8' in capfd.readouterr().out


def test_stock_tools_are_started(tmp_path, capfd):
    write_dataset(tmp_path / 'data', [9, 4, 13, 8])
    config = small_config(
        tmp_path / 'small.py',
        'vll_c3d_ucf101.py',
        tmp_path / 'data',
        extra='train_cfg = dict(max_epochs=1, val_interval=5)\n',
    )
    # These data have no splits: one run.
    words = ['run', config, '--seeds', '3', '--gpus', '0']
    words += ['--splits', '2', '3']
    for expected in ('trained and tested', 'was done before'):
        cli.main([*words, '--out', str(tmp_path / 'out')])
        output = capfd.readouterr().out
        assert f'1/1 other/small/seed3: {expected}' in output
    state = json.loads(
        (tmp_path / 'out/other/small/seed3/run.json').read_text()
    )
    assert state['status'] == 'done'
    assert (state['videos'], state['clips']) == (4, 8)
    assert state['fold'] is None

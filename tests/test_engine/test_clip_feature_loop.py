"""Features by stock test.py, then training on them by stock train.py."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_runs import VIDEOS, training_config, write_store, writing_config
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from stock_tools import ToolFailed, run_tool
from video_files import write_dataset

from vll_mmaction.datasets import ClipFeatureDataset, FeatureStore
from vll_mmaction.engine.loops import ClipFeatureLoop
from vll_mmaction.evaluation import load_clip_results
from vll_mmaction.models import ClassLayerInput

LENGTHS = [9, 4, 26, 3, 8]  # 2, 1, 6, 1 and 2 clips


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Videos, a checkpoint, and a config that writes."""
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, LENGTHS)
    init_default_scope('mmaction')
    path = writing_config(folder / 'write.py', folder, folder / 'features')
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(path).model)
    model.init_weights()
    # Of other classes, say: the class layer is not used.
    weights = {
        k: x for k, x in model.state_dict().items() if 'fc_cls' not in k
    }
    torch.save(dict(state_dict=weights), folder / 'c3d.pth')
    return folder, path, model.eval()


def write(data, processes, out_dir, **options):
    folder, path, _ = data
    options['test_cfg.out_dir'] = out_dir
    words = [f'{key}={value}' for key, value in options.items()]
    return run_tool(
        'dist_test.sh',
        *(path, folder / 'c3d.pth', processes),
        *('--work-dir', folder / 'work', '--cfg-options', *words),
        cwd=folder,
    )


@pytest.fixture(scope='module')
def features(data):
    """Folder of features that one process wrote."""
    path = data[0] / 'features'
    assert 'features of 12 clips of 5 videos' in write(data, 0, path)
    return path


def test_features_are_what_the_class_layer_gets(data, features):
    folder, path, model = data
    store = FeatureStore(str(features))
    assert store.filenames.tolist() == [f'{k}.avi' for k in range(5)]
    assert store.clip_counts.tolist() == [2, 1, 6, 1, 2]
    assert store.features.shape == (12, 1, 16)
    assert store.features.dtype == np.float16
    assert store.frame_inds[3].tolist() == [0, 1, 2, 3]
    assert store.frame_inds[9].tolist() == [0, 1, 2, 0]
    assert not (features / 'written.npy').exists()
    part = Config.fromfile(path).test_dataloader.dataset
    clips = DATASETS.build(part)
    for row in (0, 5, 9, 11):
        batch = {key: [value] for key, value in clips[row].items()}
        with ClassLayerInput(model.cls_head) as given, torch.no_grad():
            model.test_step(batch)
            feature = given.take(1)[0].numpy()
        assert np.allclose(store.features[row, 0], feature, atol=1e-2)


def test_two_processes_write_the_same(data, features):
    write(data, 2, data[0] / 'by_two')
    for name in ('features', 'frame_inds', 'filenames'):
        ours, theirs = (
            np.load(data[0] / folder / f'{name}.npy')
            for folder in ('by_two', features)
        )
        assert ours.dtype == theirs.dtype
        if name == 'features':
            assert np.allclose(ours, theirs, atol=1e-3)
        else:
            assert np.array_equal(ours, theirs)


def loop_of(data, out_dir, draws=1, ann_file='ann.txt'):
    folder, path, _ = data
    cfg = Config.fromfile(path)
    cfg.work_dir = str(folder / 'work')
    cfg.load_from = str(folder / 'c3d.pth')
    cfg.test_cfg.update(out_dir=str(out_dir), draws=draws)
    cfg.test_dataloader.dataset.ann_file = str(ann_file)
    cfg.experiment_name = f'{out_dir.name}_{draws}_{np.random.rand()}'
    return Runner.from_cfg(cfg)


def test_names_are_those_of_the_list(data, tmp_path):
    names = ['./0.avi', f'{data[0]}/videos/1.avi']
    path = tmp_path / 'list.txt'
    path.write_text(''.join(f'{name} 1\n' for name in names))
    loop_of(data, tmp_path / 'features', ann_file=path).test()
    store = FeatureStore(tmp_path / 'features')
    assert store.filenames.tolist() == names
    assert np.load(tmp_path / 'features/labels.npy').tolist() == [1, 1]
    assert store.total_frames.tolist() == LENGTHS[:2]
    assert len(ClipFeatureDataset(str(path), store.path)) == 3


def test_goes_on_after_a_stop(data, features, monkeypatch):
    out_dir = data[0] / 'stopped'
    monkeypatch.setattr(
        'vll_mmaction.engine.loops.clip_feature_loop.FLUSH_SECONDS', -1
    )
    run_iter, seen = ClipFeatureLoop.run_iter, []

    def stop(self, idx, batch):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(batch['inputs']))
        run_iter(self, idx, batch)

    monkeypatch.setattr(ClipFeatureLoop, 'run_iter', stop)
    with pytest.raises(KeyboardInterrupt):
        loop_of(data, out_dir).test()
    with pytest.raises(FileNotFoundError, match='not finished'):
        FeatureStore(out_dir)
    seen.extend([0] * 5)  # never stops again
    assert sum(seen[:2]) < 12
    figures = loop_of(data, out_dir).test()
    assert figures == dict(videos=5, clips=12)
    assert sum(seen) == 12  # none was done twice
    ours, theirs = (FeatureStore(x).features for x in (out_dir, features))
    assert np.allclose(ours, theirs, atol=1e-3)


def test_other_weights_or_rule_are_refused(data, features):
    folder, path, _ = data
    runner = loop_of(data, features)
    with torch.no_grad():
        runner.model.backbone.conv1.weight.mul_(2)
    runner._load_from = None
    with pytest.raises(ValueError, match='written with another source'):
        runner.test()
    cfg = Config.fromfile(path)
    cfg.test_dataloader.dataset.pipeline[1].max_clips = 2
    cfg.work_dir = str(folder / 'work')
    with pytest.raises(ValueError, match='leave max_clips out'):
        Runner.from_cfg(cfg).test()


def test_features_that_are_not_finite(data):
    runner = loop_of(data, data[0] / 'infinite')
    runner._load_from = None
    with torch.no_grad():
        runner.model.backbone.fc7.bias.fill_(1e30)
    with pytest.raises(ValueError, match=r'0\.avi, clip 0.*not finite'):
        runner.test()


def test_stock_tools_train_and_test_on_features(data, features, tmp_path):
    folder = data[0]
    path = training_config(
        tmp_path / 'train.py', folder, features, extra=VIDEOS
    )
    output = run_tool(
        'dist_train.sh', path, 2, '--work-dir', tmp_path / 'w', cwd=tmp_path
    )
    assert 'loss_ccl' in output
    run_tool(
        'dist_test.sh',
        *(path, tmp_path / 'w/epoch_2.pth', 0, '--work-dir', tmp_path / 't'),
        cwd=tmp_path,
    )
    results = load_clip_results(
        str(tmp_path / 'work_dirs/train/clip_results.npz')
    )
    assert results.filenames.tolist() == [f'{k}.avi' for k in range(5)]
    assert np.diff(results.video_offsets).tolist() == [2, 1, 6, 1, 2]
    # Features of another network, as wide.
    about = json.loads((features / 'about.json').read_text())
    write_store(tmp_path / 'other', LENGTHS, source='f' * 16)
    assert about['source'] != 'f' * 16
    options = f'test_dataloader.dataset.features={tmp_path}/other/features'
    with pytest.raises(ToolFailed, match='are of another network than'):
        run_tool(
            'dist_test.sh',
            *(path, tmp_path / 'w/epoch_2.pth', 0, '--cfg-options', options),
            cwd=tmp_path,
        )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(channels=8), 'in_channels=8, but the features'),
        (
            dict(extra="\nmodel['backbone'] = dict(type='C3DLite')\n"),
            "'ClipFeatureDataset' and model.backbone.type",
        ),
    ],
)
def test_mistakes_end_before_the_first_step(tmp_path, options, message):
    write_store(tmp_path, LENGTHS)
    path = training_config(
        tmp_path / 'train.py', tmp_path, tmp_path / 'features', **options
    )
    cfg = Config.fromfile(path)
    cfg.work_dir = str(tmp_path / 'w')
    with pytest.raises(ValueError, match=message):
        Runner.from_cfg(cfg).train()
    assert not list(Path(cfg.work_dir).glob('*.pth'))

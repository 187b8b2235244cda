"""Configs that start from zoo checkpoints: they train a step and vote."""

from functools import partial
from pathlib import Path

import backbone_table
import mmaction
import pytest
import torch
from experiments.evidence_tables import ZOO
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from video_files import write_dataset

from vll_mmaction.datasets import FeatureStore

ROOT = Path(__file__).parents[1]

FAMILIES = ('slowonly', 'slowfast', 'r2plus1d', 'tsm', 'swin', 'mvit')
FILES = [
    path
    for name in FAMILIES
    for path in sorted((ROOT / 'configs' / name).glob('vll_*.py'))
]
# The clip of the networks tried here; the configs' own is 224 x 224.
CLIPS = dict(slowfast=(32, 32, 32), swin=(4, 64, 64), mvit=(4, 64, 64))
SMALL = dict(mvit=dict(spatial_size=64, temporal_size=4))


@pytest.fixture(autouse=True)
def quiet():
    logger = MMLogger.get_current_instance()
    level, threads = logger.level, torch.get_num_threads()
    logger.setLevel('ERROR')
    torch.set_num_threads(1)
    yield
    logger.setLevel(level)
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('zoo')
    write_dataset(folder, [70, 90])
    return folder


def names(paths):
    return [path.stem for path in paths]


@pytest.mark.parametrize('path', FILES, ids=names(FILES))
def test_trains_a_step_and_votes(path):
    family = path.parent.name
    config = Config.fromfile(path)
    model = config.model.to_dict()
    model['backbone'].update(SMALL.get(family, {}))
    clip = CLIPS.get(family, (8, 32, 32))
    model['train_cfg']['max_training_views'] = 2
    model['test_cfg']['max_testing_views'] = 2
    torch.manual_seed(0)
    built = MODELS.build(model)
    built.init_weights()
    torch.nn.init.normal_(built.cls_head.fc_cls.weight, std=0.1)
    draw = partial(backbone_table.random_clip, model, clip)
    backbone_table.check_vote(built, draw)
    backbone_table.check_step(built, draw, backbone_table.expected_loss)
    # The class layer learns ten times as fast, if it is new.
    wrapper = build_optim_wrapper(built, config.optim_wrapper)
    rates = {
        part: {
            group['lr']
            for group in wrapper.optimizer.param_groups
            if set(map(id, group['params']))
            & set(map(id, getattr(built, part).parameters()))
        }
        for part in ('backbone', 'cls_head')
    }
    (slow,), (fast,) = rates['backbone'], rates['cls_head']
    new = config.model.cls_head.num_classes != 400
    assert fast / slow == pytest.approx(10 if new else 1)


@pytest.mark.parametrize('path', FILES, ids=names(FILES))
def test_pipelines_make_the_clips_of_the_checkpoint(path, videos):
    config = Config.fromfile(path)
    sampling = config.train_pipeline[1]
    assert sampling.type == config.test_pipeline[1].type == 'SampleVideoClips'
    for name in ('clip_len', 'frame_interval', 'clip_stride'):
        assert sampling[name] == config.test_pipeline[1][name]
    frames, size = sampling.clip_len, (224, 224)
    shape = (1, 3, frames, *size)
    if 'tsm' in path.stem:
        shape = (frames, 3, *size)
    for loader in ('train_dataloader', 'test_dataloader'):
        dataset = config[loader].dataset.to_dict()
        key = 'train_pipeline' if loader[:2] == 'tr' else 'test_pipeline'
        assert dataset['pipeline'] == config[key]
        dataset.update(
            ann_file=str(videos / 'ann.txt'),
            data_root='',
            data_prefix=dict(video=str(videos / 'videos')),
        )
        sample = DATASETS.build(dataset)[0]
        clips = 1
        if loader == 'test_dataloader':
            span = (frames - 1) * sampling.frame_interval + 1
            clips = (70 - span) // sampling.clip_stride + 1
        assert sample['inputs'].shape == (clips * shape[0], *shape[1:])


def test_checkpoints_are_in_the_model_zoo():
    folder = Path(mmaction.__file__).parent / '.mim/configs/recognition'
    zoo = {
        line.split()[-1]
        for path in folder.rglob('metafile.yml')
        for line in path.read_text().splitlines()
        if 'Weights:' in line
    }
    for path in FILES:
        assert Config.fromfile(path).load_from in zoo


def test_six_families_on_two_datasets_and_two_on_kinetics():
    for name in FAMILIES:
        for dataset in ('ucf101', 'hmdb51'):
            assert ROOT / f'configs/{name}/vll_{name}_{dataset}.py' in FILES
    assert sum(path.stem.endswith('kinetics400') for path in FILES) >= 2


@pytest.mark.parametrize('network', ZOO)
@pytest.mark.parametrize('dataset', ['ucf101', 'hmdb51'])
def test_features_of_zoo_networks(network, dataset, videos, tmp_path):
    """On stand-in videos, smaller, with random weights."""
    path = ROOT / f'configs/{network}/features_{dataset}.py'
    config = Config.fromfile(path)
    assert config.test_cfg.out_dir == f'data/{dataset}/features/{network}'
    config.test_cfg.out_dir = str(tmp_path / 'features')
    config.load_from, config.work_dir = None, str(tmp_path)
    length, size, _ = CLIPS.get(network, (8, 32, 32))
    data = config.test_dataloader.dataset
    _, sampling, _, resize, crop, *_ = data.pipeline
    sampling.clip_len = length
    resize.scale, crop.crop_size = (-1, size), size
    data.update(
        ann_file=str(videos / 'ann.txt'),
        data_root='',
        data_prefix=dict(video=str(videos / 'videos')),
    )
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    config.test_dataloader.batch_size = 4
    figures = Runner.from_cfg(config).test()
    store = FeatureStore(tmp_path / 'features')
    assert store.features.shape == (figures['clips'], 1, ZOO[network])
    assert figures['videos'] == 2

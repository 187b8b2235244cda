"""Every config builds, and siblings differ in what they say they do."""

from pathlib import Path

import pytest
from mmaction.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
from mmengine.config import Config

CONFIGS = Path(__file__).parents[1] / 'configs'
FILES = sorted(
    str(path.relative_to(CONFIGS))
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
)


def load(name):
    return Config.fromfile(CONFIGS / name)


def flat(value, key=''):
    """Nested dicts and lists as {'a.b.0': leaf}."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {key: value}
    leaves = {}
    for name, item in items:
        leaves.update(flat(item, f'{key}.{name}' if key else str(name)))
    return leaves


def differences(one, two):
    one, two = flat(load(one).to_dict()), flat(load(two).to_dict())
    return {k for k in one.keys() | two.keys() if one.get(k) != two.get(k)}


@pytest.mark.parametrize('name', FILES)
def test_every_part_builds(name):
    config = load(name)
    if config.model.backbone.type == 'EfficientNetLite0':
        pytest.importorskip('efficientnet_lite_pytorch')
    model = MODELS.build(config.model)
    assert model.cls_head.num_classes == config.model.cls_head.num_classes
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = config[loader].dataset
        for part in dataset.get('datasets', [dataset]):
            for transform in part.get('pipeline', ()):
                TRANSFORMS.build(transform)
            DATASETS.build(dict(part, lazy_init=True))
    train = config.train_dataloader.dataset
    assert train.num_classes == config.model.cls_head.num_classes
    for evaluator in (config.val_evaluator, config.test_evaluator):
        for metric in evaluator:
            METRICS.build(metric)
    for hook in config.custom_hooks:
        HOOKS.build(hook)


@pytest.mark.parametrize(
    'clip',
    [name for name in FILES if Path(name).name.startswith('clip_')],
)
def test_clip_and_video_level_differ_in_samplers_and_loss_only(clip):
    video = str(Path(clip).with_name(Path(clip).name.replace('clip_', 'vll_')))
    if video not in FILES:
        pytest.skip('the start that both levels share')
    allowed = (
        'train_dataloader.batch_size',
        'train_dataloader.sampler',
        'train_dataloader.batch_sampler',
        'model.cls_head.loss_cls',
        'auto_scale_lr.base_batch_size',
    )
    found = differences(clip, video)
    assert found
    assert {key for key in found if not key.startswith(allowed)} == set()


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in FILES
        if name.startswith('quickstart/')
        and not any(x in name for x in ('_few_', '_half_', 'features'))
    ],
)
def test_quickstart_differs_in_dataset_size_and_schedule_only(name):
    model = name.split('/')[1].replace('c3d', 'c3d_ucf101')
    allowed = (
        # dataset
        'data_root',
        'data_prefix',
        'dataset.',
        'num_classes',
        'train_dataloader',
        'val_dataloader',
        'test_dataloader',
        'model.cls_head.num_classes',
        # size
        'size',
        'train_pipeline',
        'test_pipeline',
        'model.backbone.conv_channels',
        'model.backbone.fc_channels',
        'model.backbone.input_size',
        'model.backbone.channels_last',
        'model.cls_head.in_channels',
        # schedule
        'model.backbone.pretrained_convs',
        'optim_wrapper',
        'param_scheduler',
        'train_cfg',
        'auto_scale_lr',
        'default_hooks.logger.interval',
    )
    found = differences(model, name)
    assert {key for key in found if not key.startswith(allowed)} == set()
    for key in ('sampler', 'batch_sampler'):
        ours, paper = load(name), load(model)
        assert ours.train_dataloader[key] == paper.train_dataloader[key]

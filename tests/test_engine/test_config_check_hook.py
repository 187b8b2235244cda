import pytest
from mmaction.registry import HOOKS
from mmengine.config import Config
from mmengine.runner import Runner
from stock_tools import small_config
from video_files import write_dataset


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, [5, 9, 4], num_classes=2)
    path = small_config(folder / 'config.py', 'vll_c3d_ucf101.py', folder)
    return Config.fromfile(path)


def check(config, tmp_path, **options):
    """Build the runner as train.py does and let the hook look at it."""
    config = config.copy()
    config.work_dir = str(tmp_path)
    config.merge_from_dict(options)
    runner = Runner.from_cfg(config)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    HOOKS.build(dict(type='ConfigCheckHook')).before_train(runner)


def test_the_configs_of_ours_pass(config, tmp_path):
    assert 'ConfigCheckHook' in [hook.type for hook in config.custom_hooks]
    check(config, tmp_path)


def test_num_classes_too_small(config, tmp_path):
    options = {
        'model.cls_head.num_classes': 1,
        'train_dataloader.dataset.num_classes': None,
    }
    message = r'num_classes=1, but .*ann.txt has the label 1 \(line 2\)'
    with pytest.raises(ValueError, match=message):
        check(config, tmp_path, **options)
    wrapped = config.train_dataloader.dataset.copy()
    config = config.copy()
    config.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=wrapped
    )
    with pytest.raises(ValueError, match='has the label 1'):
        options['train_dataloader.dataset.dataset.num_classes'] = None
        options.pop('train_dataloader.dataset.num_classes')
        check(config, tmp_path, **options)


def test_a_stock_head_with_several_videos_a_batch(config, tmp_path):
    options = {
        'model.cls_head.type': 'I3DHead',
        'model.cls_head.average_clips': 'prob',
    }
    with pytest.raises(ValueError, match="type='VideoLevelI3DHead', or"):
        check(config, tmp_path, **options)
    options['train_dataloader.batch_size'] = 1
    options['val_evaluator'] = [dict(type='AccMetric')]
    check(config, tmp_path, **options)


def test_grouped_sampler_without_batch_sampler(config, tmp_path):
    with pytest.raises(ValueError, match='batches of 2 clips would cut'):
        check(config, tmp_path, **{'train_dataloader.batch_sampler': None})

"""Checkpoints of another network, where stock goes on with random weights."""

import mmengine
import pytest
import torch
from small_runner import log_of, small_runner
from video_files import write_dataset

CLASSES = (
    "model['cls_head']['num_classes'] = 3\n"
    "train_dataloader['dataset']['num_classes'] = 3\n"
)
NARROW = (
    "model['backbone'].update(conv_channels=(2, 2, 3, 3, 3), fc_channels=5)\n"
    "model['cls_head'].update(in_channels=5, num_classes=3)\n"
)
TEST = (
    'test_dataloader.update(num_workers=0, persistent_workers=False)\n'
    "test_evaluator = [dict(type='AccMetric')]\n"
)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, [4, 8])
    return folder


@pytest.fixture(scope='module')
def trained(data_root, tmp_path_factory):
    """A checkpoint of two classes, after an epoch."""
    runner = small_runner(tmp_path_factory.mktemp('trained'), data_root)
    runner.train()
    return f'{runner.work_dir}/epoch_1.pth'


@pytest.fixture
def start(data_root, tmp_path):
    """Build a runner that is to load a checkpoint."""

    def build(path, extra='', resume=False):
        load = f'load_from = {str(path)!r}\nresume = {resume}\n'
        return small_runner(tmp_path, data_root, TEST + load + extra)

    return build


def refused(run):
    with pytest.raises(ValueError) as caught:
        run()
    return str(caught.value)


def test_testing_refuses_other_classes(start, trained):
    message = refused(start(trained, CLASSES).test)
    assert message.startswith(f'{trained}: this checkpoint does not fit')
    assert 'cls_head.fc_cls.weight (2, 16), not (3, 16)' in message
    assert 'default_hooks.checkpoint_fit.strict=False' in message


def test_testing_goes_on_if_told(start, trained):
    told = CLASSES + "default_hooks['checkpoint_fit'] = dict(strict=False)\n"
    assert 'acc/top1' in start(trained, told).test()


def test_testing_takes_its_own(start, trained):
    assert 'acc/top1' in start(trained).test()


@pytest.mark.parametrize('how', ['train', 'test'])
def test_nothing_fits(start, trained, how):
    strict = "default_hooks['checkpoint_fit'] = dict(strict=False)\n"
    runner = start(trained, NARROW + strict)
    message = refused(getattr(runner, how))
    assert 'nothing of this checkpoint fits the model' in message
    assert 'backbone.conv1.weight (4, 3, 3, 3, 3), not (2, 3,' in message
    assert ' more.' in message


def test_a_file_of_another_kind(start, tmp_path):
    torch.save(dict(weights=torch.zeros(2)), tmp_path / 'other.pth')
    message = refused(start(tmp_path / 'other.pth').test)
    assert 'Missing in it: backbone.conv1.weight, ' in message
    assert 'Not in the model: weights.' in message


def edited(trained, path, edit):
    """A copy of a checkpoint with other parameters."""
    checkpoint = torch.load(trained)
    edit(checkpoint['state_dict'])
    torch.save(checkpoint, path)
    return path


def test_a_layer_is_missing_and_one_is_new(start, trained, tmp_path):
    def edit(state):
        state['backbone.fc8.weight'] = state.pop('backbone.fc7.weight')

    message = refused(start(edited(trained, tmp_path / 'e.pth', edit)).test)
    assert 'Missing in it: backbone.fc7.weight.' in message
    assert 'Not in the model: backbone.fc8.weight.' in message


def test_a_part_that_the_model_lacks_is_no_fault(start, trained, tmp_path):
    """As the class layer for a FeatureHead, or a neck for training alone."""

    def edit(state):
        state['neck.aux.weight'] = torch.zeros(2)
        state['module.backbone.fc7.bias'] = state.pop('backbone.fc7.bias')

    runner = start(edited(trained, tmp_path / 'e.pth', edit))
    assert 'acc/top1' in runner.test()


def test_features_need_no_class_layer(start, trained, tmp_path):
    dump = str(tmp_path / 'features.pkl')
    start(
        trained,
        "model['cls_head'] = dict(_delete_=True, type='FeatureHead')\n"
        'test_evaluator = [\n'
        f"    dict(type='DumpResults', out_file_path={dump!r})]\n",
    ).test()
    features = mmengine.load(dump)
    assert [rows.shape for rows in features] == [(1, 16), (2, 16)]


def test_training_warns_of_a_part_that_gets_nothing(start, trained):
    runner = start(trained, CLASSES)
    runner.train()
    log = log_of(runner)
    assert log.count('gets nothing from this checkpoint') == 1
    assert 'model.cls_head gets nothing' in log
    assert 'cls_head.fc_cls.bias (2,), not (3,)' in log


def test_training_from_its_own_says_nothing(start, trained):
    runner = start(trained)
    runner.train()
    assert 'gets nothing' not in log_of(runner)


def test_resuming_refuses_other_classes(start, trained):
    message = refused(start(trained, CLASSES, resume=True).train)
    assert 'cannot be resumed from it' in message
    assert 'cls_head.fc_cls.bias (2,), not (3,)' in message

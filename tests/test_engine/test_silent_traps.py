"""Lists and options that are taken, but hardly meant so."""

import sys

import pytest
from mmaction.registry import DATASETS
from mmengine.config import Config
from small_runner import log_of, small_runner
from stock_tools import small_config
from video_files import write_dataset

from vll_mmaction.engine.silent_traps import (
    doubled_videos,
    uneven_classes,
    unused_options,
)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, [4] * 30)
    return folder


@pytest.fixture
def dataset(data_root, tmp_path):
    """Build a dataset of a list of numbers of videos and labels."""

    def build(videos, name='list.txt', kind='VideoClipDataset'):
        lines = [f'{number}.avi {label}\n' for number, label in videos]
        (tmp_path / name).write_text(''.join(lines))
        sampling = dict(type='SampleVideoClips', clip_len=4)
        return DATASETS.build(
            dict(
                type=kind,
                ann_file=str(tmp_path / name),
                data_prefix=dict(video=str(data_root / 'videos')),
                pipeline=[dict(type='VideoReaderInit'), sampling],
            )
        )

    return build


def repeated(dataset):
    return DATASETS.build(dict(type='RepeatDataset', times=2, dataset=dataset))


@pytest.mark.parametrize(
    'kind', ['VideoClipDataset', 'VideoDataset', 'WholeVideoDataset']
)
def test_a_video_in_both_lists(dataset, kind):
    train = dataset([(0, 0), (1, 1), (2, 0)], 'train.txt')
    val = dataset([(1, 1), (2, 1), (3, 0)], 'val.txt', kind)
    (text,) = doubled_videos(repeated(train), val)
    assert text.startswith('2 of 3 validation videos are in the training')
    assert 'videos/1.avi:' in text


@pytest.mark.parametrize('stage', ['training', 'validation'])
def test_a_video_with_two_labels(dataset, stage):
    bad = dataset([(0, 0), (1, 0), (0, 2), (4, 1), (4, 0)], 'bad.txt')
    good = dataset([(2, 0), (3, 1), (3, 1)], 'good.txt')
    pair = (bad, good) if stage == 'training' else (good, bad)
    (text,) = doubled_videos(*pair)
    assert text.startswith(f'The {stage} list gives several labels to 2 video')
    assert 'videos/0.avi (0 and 2)' in text


def test_lists_that_are_in_order(dataset):
    train, val = dataset([(0, 0), (1, 1)]), dataset([(2, 0)], 'val.txt')
    assert not list(doubled_videos(train, val))
    assert not list(doubled_videos(train, None))
    assert not list(uneven_classes(train, 2))


def test_labels_from_1(dataset):
    (text,) = uneven_classes(dataset([(0, 1), (1, 2), (2, 3)]), 4)
    assert 'No training video has the label 0' in text
    assert 'write num_classes=3' in text


def test_classes_without_a_video(dataset):
    (text,) = uneven_classes(dataset([(0, 0), (1, 3)]), 4)
    assert text == '2 of 4 classes have no training video: 1, 2.'
    (text,) = uneven_classes(dataset([(0, 1), (1, 2)]), 40)
    assert text.startswith('38 of 40 classes have no training video: 0, 3, 4')


def test_a_class_far_more_frequent_than_another(dataset):
    videos = [(number, 0) for number in range(21)]
    (text,) = uneven_classes(dataset([*videos, (21, 1)]), 2)
    assert 'Class 0 has 21 training videos, class 1 1: 1 of 2' in text
    assert not list(uneven_classes(dataset([*videos[1:], (21, 1)]), 2))
    assert not list(uneven_classes(dataset([*videos[1:], (21, 1)]), 0))


def options(config, *words):
    return list(unused_options(config, ['c.py', '--cfg-options', *words]))


@pytest.fixture
def config(data_root, tmp_path):
    path = small_config(tmp_path / 'c.py', 'vll_c3d_ucf101.py', data_root)
    return Config.fromfile(path)


def test_an_option_of_what_was_copied(config):
    (text,) = options(
        config, 'train_pipeline.1.max_clips=1', 'model.cls_head.num_classes=2'
    )
    assert text.startswith('--cfg-options train_pipeline.1.max_clips changes')
    assert 'write train_dataloader.dataset.pipeline.1.max_clips.' in text
    (text,) = options(config, 'test_pipeline.1.clip_len=8')
    assert 'write test_dataloader.dataset.pipeline.1.clip_len and val' in text
    (text,) = options(config, 'data_root=elsewhere')
    assert 'data_root is a variable' in text


def test_an_option_that_nothing_reads(config):
    (text,) = options(config, 'trian_dataloader.batch_size=2')
    assert 'nothing reads trian_dataloader. Did you mean train_d' in text


def test_options_that_are_read(config):
    assert not options(config, 'load_from=a.pth', 'compile=True', '--resume')
    assert not list(unused_options(config, ['c.py', 'train_pipeline=1']))


def test_each_is_told_once(data_root, tmp_path, monkeypatch):
    option = 'train_pipeline.1.max_clips=1'
    monkeypatch.setattr(
        sys, 'argv', ['train.py', 'c.py', '--cfg-options', option]
    )
    # The lists of training and validation are the same.
    lists = "model['cls_head']['num_classes'] = 3\n"
    runner = small_runner(tmp_path, data_root, lists)
    runner.train()
    log = log_of(runner)
    assert log.count('30 of 30 validation videos are in the training') == 1
    assert log.count('1 of 3 classes have no training video: 2.') == 1
    assert log.count(f'--cfg-options {option[:-2]} changes nothing') == 1

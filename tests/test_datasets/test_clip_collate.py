"""A batch as one tensor and columns: the same batch, and little to receive."""

import gc
import multiprocessing
import os
import pickle

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS
from mmaction.structures import ActionDataSample
from mmengine.dataset import DefaultSampler, pseudo_collate
from small_runner import small_runner
from torch.utils.data import DataLoader
from video_files import write_dataset

from vll_mmaction.datasets import (
    ClipBatchSampler,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
    clip_collate,
)
from vll_mmaction.models import ClipDataPreprocessor
from vll_mmaction.structures import ClipSamples

LENGTHS = [4, 30, 9, 17, 3, 23, 12]
SHARING = sorted(torch.multiprocessing.get_all_sharing_strategies())


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, LENGTHS)
    return folder


def clips_of(data_root, crop='CenterCrop'):
    size = 'size' if crop == 'RandomCrop' else 'crop_size'
    return dict(
        type='VideoClipDataset',
        ann_file='ann.txt',
        data_root=str(data_root),
        data_prefix=dict(video='videos'),
        pipeline=[
            dict(type='VideoReaderInit'),
            dict(type='SampleVideoClips', clip_len=4),
            dict(
                type='ReadVideoClips',
                transforms=[{'type': crop, size: 32}],
            ),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs'),
        ],
    )


def loader_of(config, collate, workers=0, level='video', **options):
    dataset = DATASETS.build(config)
    if level == 'video':
        sampler = VideoGroupedSampler(dataset, seed=1)
        batches = VideoGroupedBatchSampler(sampler, batch_size=3)
    else:
        sampler = DefaultSampler(dataset, seed=1)
        batches = ClipBatchSampler(sampler, batch_size=5)
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        **options,
    )


def read(config, collate, *args, **kwargs):
    return list(loader_of(config, collate, *args, **kwargs))


def assert_same(found, wanted):
    """The batches of `clip_collate` are those of stock's collate."""
    assert len(found) == len(wanted) > 1
    for ours, stock in zip(found, wanted):
        assert torch.equal(ours['inputs'], torch.stack(stock['inputs']))
        samples = ours['data_samples']
        assert isinstance(samples, ClipSamples)
        assert len(samples) == len(stock['data_samples'])
        for one, other in zip(samples, stock['data_samples']):
            assert type(one) is ActionDataSample
            # Sets inside, whose order differs from process to process.
            assert {*one.keys()} == {*other.keys()}
            assert one.gt_label.dtype == other.gt_label.dtype
            assert torch.equal(one.gt_label, other.gt_label)
            assert {*one.metainfo_keys()} == {*other.metainfo_keys()}
            for key, value in other.metainfo_items():
                assert type(one.get(key)) is type(value)
                np.testing.assert_array_equal(one.get(key), value)


@pytest.mark.parametrize('crop', ['CenterCrop', 'RandomCrop'])
@pytest.mark.parametrize('level', ['video', 'clip'])
def test_same_batches(data_root, level, crop):
    config = clips_of(data_root, crop)
    assert_same(
        read(config, clip_collate, level=level),
        read(config, pseudo_collate, level=level),
    )


# A spawned worker takes many seconds to start.
@pytest.mark.parametrize(
    'method, workers, sharing',
    [('spawn', 1, SHARING[-1]), *(('fork', 2, name) for name in SHARING)],
)
def test_same_batches_from_workers(data_root, method, workers, sharing):
    config = clips_of(data_root)
    wanted = read(config, pseudo_collate)
    before = torch.multiprocessing.get_sharing_strategy()
    torch.multiprocessing.set_sharing_strategy(sharing)
    try:
        found = read(
            config,
            clip_collate,
            workers=workers,
            multiprocessing_context=multiprocessing.get_context(method),
        )
        assert all(batch['inputs'].is_shared() for batch in found)
        assert_same(found, wanted)
    finally:
        torch.multiprocessing.set_sharing_strategy(before)


@pytest.mark.parametrize('wrapper', ['repeat', 'concat'])
def test_wrappers(data_root, wrapper):
    config = clips_of(data_root)
    if wrapper == 'repeat':
        config = dict(type='RepeatDataset', dataset=config, times=2)
    else:
        config = dict(type='ConcatDataset', datasets=[config, config])
    found = read(config, clip_collate)
    assert_same(found, read(config, pseudo_collate))
    for batch in found:
        inputs = batch['inputs']
        assert inputs.untyped_storage().nbytes() == inputs.nbytes


def test_videos_are_read_into_one_storage(data_root):
    """So nothing is copied when they are put together."""
    loader = loader_of(clips_of(data_root), clip_collate)
    for indices in loader.batch_sampler:
        samples = loader.dataset.__getitems__(indices)
        inputs = clip_collate(samples)['inputs']
        places = {x['inputs'].untyped_storage().data_ptr() for x in samples}
        assert places == {inputs.untyped_storage().data_ptr()}
        assert inputs.data_ptr() == samples[0]['inputs'].data_ptr()
        assert inputs.is_contiguous()
    # The next batch has memory of its own.
    again = clip_collate(loader.dataset.__getitems__(indices))['inputs']
    assert again.data_ptr() != inputs.data_ptr()


@pytest.mark.parametrize('workers', [0, 1])
def test_a_video_that_is_replaced(tmp_path, workers):
    """By one with more or fewer clips; its name is kept."""
    write_dataset(tmp_path, LENGTHS)
    config = dict(clips_of(tmp_path), max_bad_videos=0.5)
    loaders = [
        loader_of(config, collate, workers)
        for collate in (clip_collate, pseudo_collate)
    ]
    path = tmp_path / 'videos' / '1.avi'
    os.truncate(path, 300)
    found, wanted = map(list, loaders)
    replaced = 0
    for ours, stock in zip(found, wanted):
        assert torch.equal(ours['inputs'], torch.stack(stock['inputs']))
        for one, other in zip(ours['data_samples'], stock['data_samples']):
            assert one.get('replaces') == other.get('replaces')
            assert one.video_id == other.video_id
            replaced += 'replaces' in one
    assert replaced


def test_columns_travel_without_tensors(data_root):
    batch = next(iter(loader_of(clips_of(data_root), clip_collate)))
    samples = batch['data_samples']
    text = pickle.dumps(samples)
    assert b'torch' not in text
    again = pickle.loads(text)
    assert torch.equal(again.labels, samples.labels)
    assert again[1].video_id == samples[1].video_id
    assert samples[0] is samples[0]
    assert [x.clip_id for x in samples[1:3]] == samples.column('clip_id')[1:3]
    assert samples[-1] is list(samples)[-1]
    with pytest.raises(IndexError):
        samples[len(samples)]
    assert samples.column('unheard of') == [None] * len(samples)


def test_soft_labels_and_other_fields():
    def item(number, **fields):
        sample = ActionDataSample()
        sample.gt_label = torch.tensor([0.25, 0.75]) * number
        for name, value in fields.items():
            sample.set_field(value, name)
        clip = torch.full((1, 3, 2, 4, 4), number, dtype=torch.uint8)
        return dict(inputs=clip, data_samples=sample)

    batch = clip_collate([item(1), item(2)])
    wanted = torch.tensor([[0.25, 0.75], [0.5, 1.5]])
    assert torch.equal(batch['data_samples'].labels, wanted)
    assert torch.equal(batch['data_samples'][1].gt_label, wanted[1])
    assert batch['inputs'].shape == (2, 1, 3, 2, 4, 4)
    # What has no column stays as it was.
    items = [item(1, weight=torch.ones(1)), item(2)]
    samples = clip_collate(items)['data_samples']
    assert [a is b['data_samples'] for a, b in zip(samples, items)] == [
        True
    ] * 2


def test_fields_in_another_order():
    """MMEngine keeps names in a set: these two want the same place in it."""
    names = [f'name_{k}' for k in range(100)]
    one, other = [x for x in names if hash(x) % 8 == hash(names[0]) % 8][:2]
    samples = []
    for keys in ([one, other], [other, one]):
        sample = ActionDataSample(metainfo={key: key for key in keys})
        samples.append(sample.set_gt_label(1))
    assert samples[0].metainfo_keys() != samples[1].metainfo_keys()
    columns = ClipSamples.of(samples)
    assert [x.get(other) for x in columns] == [other, other]


def test_what_is_refused():
    sample = ActionDataSample().set_gt_label(1)
    clips = [torch.zeros(1, 3, 2, size, 4) for size in (4, 5)]
    items = [dict(inputs=clip, data_samples=sample) for clip in clips]
    with pytest.raises(
        ValueError, match=r'\(1, 3, 2, 4, 4\).*2, 5, 4\).*crop'
    ):
        clip_collate(items)
    with pytest.raises(TypeError, match="'audio': 'int'.*leave out collate"):
        clip_collate([dict(items[0], audio=1)])
    with pytest.raises(TypeError, match="'inputs': 'dict'"):
        clip_collate([dict(items[0], inputs={})])


TRAINED = """
randomness = dict(seed=3)
train_dataloader['collate_fn'] = dict(type={collate!r})
model.update(
    type='VideoLevelRecognizer3D',
    train_cfg=dict(_delete_=True, **{train_cfg}))
"""


@pytest.mark.parametrize(
    'train_cfg', [{}, dict(max_training_views=2, backward_share=0.5)]
)
def test_training_is_the_same_to_the_last_bit(data_root, tmp_path, train_cfg):
    found = []
    for collate in ('clip_collate', 'pseudo_collate'):
        extra = TRAINED.format(collate=collate, train_cfg=train_cfg)
        runner = small_runner(tmp_path, data_root, extra)
        runner.train()
        history = runner.message_hub.log_scalars
        figures = [
            history[f'train/{name}'].data[0].tolist()
            for name in ('loss_ce', 'loss_ccl', 'top1_acc', 'grad_norm')
        ]
        clips = history['train/clips_per_second'].data[0]
        assert (clips > 0).all()
        found.append((runner.model.state_dict(), figures))
    (weights, figures), (stock_weights, stock_figures) = found
    assert figures == stock_figures
    for name, value in stock_weights.items():
        assert torch.equal(weights[name], value), name


def held():
    """Open files, memory maps and shared memory of this process."""
    with open('/proc/self/maps', encoding='utf-8') as file:
        maps = file.read().splitlines()
    shared = [line for line in maps if 'torch_' in line]
    return len(os.listdir('/proc/self/fd')), len(shared)


@pytest.mark.skipif(not os.path.isdir('/proc/self/fd'), reason='for Linux')
def test_twenty_epochs_hold_no_more_than_one(data_root):
    """Memory of a batch is given back when the batch is released."""
    loader = loader_of(
        clips_of(data_root), clip_collate, 2, persistent_workers=True
    )
    kept = []
    for epoch in range(20):
        loader.batch_sampler.sampler.set_epoch(epoch)
        for batch in loader:
            kept = [batch]
        kept.clear()
        del batch
        gc.collect()
        if epoch == 1:
            start = held()
    files, maps = held()
    assert files <= start[0] + 2
    assert maps <= start[1]


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
def test_preprocessor_takes_it_without_stacking(data_root, training, dtype):
    config = clips_of(data_root)
    preprocessor = ClipDataPreprocessor(
        mean=[120.0, 110.0, 100.0],
        std=[58.0, 57.0, 56.0],
        format_shape='NCTHW',
    )
    ours = next(iter(loader_of(config, clip_collate)))
    stock = next(iter(loader_of(config, pseudo_collate)))
    ours['inputs'] = ours['inputs'].to(dtype)
    stock['inputs'] = [clip.to(dtype) for clip in stock['inputs']]
    kept, samples = ours['inputs'].clone(), ours['data_samples']
    found = preprocessor(dict(ours), training)
    wanted = preprocessor(dict(stock), training)
    assert torch.equal(found['inputs'], wanted['inputs'])
    assert found['data_samples'] is samples
    # The batch may be kept by others, and is left as it is.
    assert torch.equal(ours['inputs'], kept)
    assert not samples._made

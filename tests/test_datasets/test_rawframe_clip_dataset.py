"""Clips of extracted frames: RGB, optical flow, other storage."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmaction.registry import MODELS, TRANSFORMS
from mmengine.dataset import Compose
from mmengine.fileio import BaseStorageBackend, FileClient
from torch.utils.data import DataLoader

from vll_mmaction.datasets import (
    ClipBatch,
    RawframeClipDataset,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)
from vll_mmaction.engine.hooks import ConfigCheckHook

LENGTHS = [10, 3, 8]
COUNTS = [2, 1, 2]  # clips of 4 frames
READ = [
    dict(type='SampleVideoClips', clip_len=4),
    dict(type='RawFrameDecode'),
]
PACK = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]


def grey(video, number, axis=0):
    return 20 * video + 2 * number + 100 * axis


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('frames')
    lines = []
    for video, length in enumerate(LENGTHS):
        frames = folder / 'rgb' / f'v {video}'
        frames.mkdir(parents=True)
        lines.append(f'v {video} {length} {video}\n')
        for number in range(1, length + 1):
            shape = (12, 16, 3)
            values = {f'img_{number:05}.png': grey(video, number)}
            for axis, name in enumerate('xy'):
                name = f'flow_{name}_{number:05}.png'
                values[name] = grey(video, number, axis)
            for name, value in values.items():
                cv2.imwrite(
                    str(frames / name), np.full(shape, value, np.uint8)
                )
    (folder / 'ann.txt').write_text(''.join(lines))
    return folder


def make(folder, transforms=(), read=READ, pack=PACK, **kwargs):
    return RawframeClipDataset(
        **{
            'ann_file': str(folder / 'ann.txt'),
            'data_prefix': dict(img=str(folder / 'rgb')),
            'filename_tmpl': 'img_{:05}.png',
            'pipeline': [*read, *transforms, *pack],
            **kwargs,
        }
    )


def test_rgb(folder):
    dataset = make(folder, num_classes=3)
    assert len(dataset) == sum(COUNTS)
    np.testing.assert_array_equal(dataset.clip_counts, COUNTS)
    number = 0
    for video, (length, count) in enumerate(zip(LENGTHS, COUNTS)):
        for clip in range(count):
            sample = dataset[number]
            frames = (np.arange(4) + 4 * clip) % length + 1
            assert sample['inputs'].shape == (1, 3, 4, 12, 16)
            assert sample['inputs'].dtype == torch.uint8
            assert sample['inputs'][0, 0, :, 0, 0].tolist() == [
                grey(video, frame) for frame in frames
            ]
            meta = sample['data_samples'].metainfo
            assert meta['video_id'] == video and meta['clip_id'] == clip
            assert meta['filename'] == str(folder / 'rgb' / f'v {video}')
            assert meta['frame_inds'].tolist() == frames.tolist()
            assert meta['total_frames'] == length
            assert sample['data_samples'].gt_label.tolist() == [video]
            number += 1


@pytest.mark.parametrize(
    ('layout', 'shape'),
    [('NCTHW', (1, 2, 4, 12, 16)), ('NCHW', (1, 8, 12, 16))],
)
def test_flow(folder, layout, shape):
    dataset = make(
        folder,
        modality='Flow',
        filename_tmpl='flow_{}_{:05}.png',
        pack=[dict(type='FormatShape', input_format=layout), PACK[1]],
    )
    clip = dataset[1]['inputs']
    assert clip.shape == shape
    # In 2D x and y of each frame are channels.
    planes = clip[0].reshape(2, 4, 12, 16) if layout == 'NCTHW' else clip[0]
    values = planes[..., 0, 0]
    if layout == 'NCHW':
        values = values.reshape(4, 2).T
    assert values.tolist() == [
        [grey(0, frame, axis) for frame in range(5, 9)] for axis in (0, 1)
    ]


def test_with_offset(folder, tmp_path):
    ann_file = tmp_path / 'ann.txt'
    ann_file.write_text('v 0 6 4 1\n')
    dataset = make(folder, ann_file=str(ann_file), with_offset=True)
    assert len(dataset) == 1
    assert dataset[0]['inputs'][0, 0, :, 0, 0].tolist() == [
        grey(0, frame) for frame in range(7, 11)
    ]


def test_batches_of_whole_videos(folder):
    crop = dict(type='RandomCrop', size=8)
    dataset = make(folder, [crop])
    sampler = VideoGroupedSampler(dataset, seed=3)
    loader = DataLoader(
        dataset,
        batch_sampler=VideoGroupedBatchSampler(sampler, batch_size=2),
        collate_fn=list,
    )
    seen = []
    for batch in loader:
        videos = [x['data_samples'].video_id for x in batch]
        seen += videos
        assert {videos.count(v) == COUNTS[v] for v in videos} == {True}
    assert sorted(set(seen)) == [0, 1, 2]
    again = [dataset.__getitems__(ClipBatch([0, 1], (5, 1))) for _ in '12']
    for one, other in zip(*again):
        assert torch.equal(one['inputs'], other['inputs'])
    # One array a video.
    first, second = (x['inputs'] for x in again[0])
    assert first.untyped_storage().data_ptr() == (
        second.untyped_storage().data_ptr()
    )


def test_every_frame_is_read_once(folder, monkeypatch):
    read = []
    stock = FileClient.get

    def get(self, path):
        read.append(path)
        return stock(self, path)

    monkeypatch.setattr(FileClient, 'get', get)
    make(folder).__getitems__([0, 1])
    assert len(read) == len(set(read)) == 8


def test_frames_of_another_storage(folder):
    class Memory(BaseStorageBackend):
        def __init__(self, root):
            self.root = root

        def get(self, path):
            assert path.startswith('far://')
            with open(path.replace('far:/', self.root), 'rb') as file:
                return file.read()

        def get_text(self, path):
            raise NotImplementedError

    FileClient.register_backend('far', Memory, force=True)
    decode = dict(
        type='RawFrameDecode', io_backend='far', root=str(folder / 'rgb')
    )
    dataset = make(
        folder, read=[READ[0], decode], data_prefix=dict(img='far://')
    )
    assert dataset[0]['inputs'][0, 0, :, 0, 0].tolist() == [
        grey(0, frame) for frame in range(1, 5)
    ]


def test_stock_transforms_give_the_same_clips(folder):
    info = dict(
        frame_dir=str(folder / 'rgb' / 'v 0'),
        filename_tmpl='img_{:05}.png',
        modality='RGB',
        start_index=1,
        total_frames=10,
        label=0,
    )
    for transform in READ + PACK:
        info = TRANSFORMS.build(transform)(info)
    clips = make(folder).__getitems__([0, 1])
    assert torch.equal(
        info['inputs'], torch.cat([clip['inputs'] for clip in clips])
    )


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('v0 3', r'line 2.*too few fields. Wanted: path total_frames label'),
        ('v0 x 1', r"line 2: total_frames 'x' is not a whole number"),
        ('v0 3 -1', r'line 2: the label -1 is out of range'),
        ('v0 3 7', r'line 2: the label 7 is out of range \(0 to 2\)'),
        ('v0 3 a', r"line 2: the label 'a' is not a whole number"),
        ('v0 0 1', r'line 2.*v0: it has no frames'),
    ],
)
def test_bad_lines_are_named(folder, tmp_path, line, message):
    ann_file = tmp_path / 'ann.txt'
    ann_file.write_text(f'v 0 10 0\n{line}\n')
    with pytest.raises(ValueError, match=message):
        make(folder, ann_file=str(ann_file), num_classes=3)


def test_videos_without_frames_are_left_out(folder, tmp_path):
    ann_file = tmp_path / 'ann.txt'
    ann_file.write_text('v 0 10 0\nv 9 0 1\nv 2 8 2\n')
    dataset = make(folder, ann_file=str(ann_file), max_bad_videos=0.4)
    np.testing.assert_array_equal(dataset.clip_counts, [2, 2])


@pytest.mark.parametrize('harm', ['missing', 'broken', 'larger'])
def test_an_unreadable_video_is_replaced_whole(folder, tmp_path, harm):
    bad = tmp_path / 'rgb' / 'bad'
    bad.mkdir(parents=True)
    for number in range(1, 5):
        frame = np.zeros((12, 16, 3), np.uint8)
        cv2.imwrite(str(bad / f'img_{number:05}.png'), frame)
    if harm == 'missing':
        (bad / 'img_00003.png').unlink()
    elif harm == 'larger':
        frame = np.zeros((24, 32, 3), np.uint8)
        cv2.imwrite(str(bad / 'img_00003.png'), frame)
    else:
        (bad / 'img_00003.png').write_bytes(b'no image')
    good = folder / 'rgb' / 'v 0'
    ann_file = tmp_path / 'ann.txt'
    ann_file.write_text(f'{bad} 4 1\n{good} 10 0\n')
    resize = dict(type='Resize', scale=(8, 6), keep_ratio=False)
    dataset = make(
        folder, [resize], ann_file=str(ann_file), data_prefix=dict(img='')
    )
    samples = dataset.__getitems__(ClipBatch([0], (1, 1)))
    assert [x['data_samples'].video_id for x in samples] == [1, 1]
    assert samples[0]['data_samples'].replaces == str(bad)


def test_multi_class_is_refused(folder):
    with pytest.raises(ValueError, match='RawframeClipDataset takes one'):
        make(folder, multi_class=True, num_classes=3)


def test_stock_tools_see_each_step(folder):
    # As browse_dataset.py looks into a pipeline.
    seen = []

    class Inspect(Compose):
        def __call__(self, data):
            for transform in self.transforms:
                data = transform(data)
                seen.append(type(transform).__name__)
            return data

    dataset = make(folder)
    expected = dataset[1]
    dataset.pipeline = Inspect(dataset.pipeline.transforms)
    assert torch.equal(dataset[1]['inputs'], expected['inputs'])
    assert seen == [transform['type'] for transform in READ + PACK]


def test_labels_are_checked_before_training(folder):
    dataset = make(folder)
    head = MODELS.build(
        dict(type='VideoLevelI3DHead', num_classes=2, in_channels=4)
    )
    runner = SimpleNamespace(
        model=SimpleNamespace(cls_head=head),
        train_dataloader=DataLoader(dataset),
    )
    with pytest.raises(ValueError, match='has the label 2'):
        ConfigCheckHook().before_train(runner)

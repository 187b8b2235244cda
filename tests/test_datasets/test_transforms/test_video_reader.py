"""The reader gives the pixels of the stock pipeline, and reads once."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from bench_common import encode_video
from mmaction.registry import DATASETS, TRANSFORMS
from torch.utils.data import DataLoader
from video_files import rotate, short_decode

from vll_mmaction.datasets import ClipBatch, ReadVideoClips, VideoClipDataset
from vll_mmaction.video_io import clip_array, frame_source
from vll_mmaction.video_io.frame_convert import FrameConverter
from vll_mmaction.video_io.video_file import VideoFile
from vll_mmaction.video_io.video_probe import probe_video

H264 = dict(codec='libx264', b_frames=2)
VIDEOS = {
    'xvid.avi': dict(key_frame_every=250),
    'xvid_keys.avi': dict(key_frame_every=4),
    'xvid_b.avi': dict(b_frames=2),
    'xvid_b_keys.avi': dict(b_frames=2, key_frame_every=12),
    'h264.mp4': H264,
    'h264_keys.mp4': dict(H264, key_frame_every=5),
    'h264_no_b.mkv': dict(codec='libx264'),
    'portrait.mp4': dict(H264, size=(66, 120)),
    'odd_width.avi': dict(size=(91, 64), b_frames=2),
    'odd_height.avi': dict(size=(90, 65)),
    'odd_both.mp4': dict(size=(91, 65), key_frame_every=6),
    'variable.mp4': dict(H264, variable_rate=True, key_frame_every=20),
    'variable.mkv': dict(H264, variable_rate=True),
    'full_size.avi': dict(size=(320, 240), b_frames=2),
    'rotated.mp4': dict(H264),
}
ODD_HEIGHTS = 'odd_height.avi', 'odd_both.mp4'
NUM_FRAMES = 45
RESIZE = dict(type='Resize', scale=(-1, 48))
CROP = dict(type='RandomCrop', size=40)
FLIP = dict(type='Flip', flip_ratio=0.5)
GEOMETRIES = {
    'random': [RESIZE, CROP, FLIP],
    'centre': [RESIZE, dict(type='CenterCrop', crop_size=(40, 32))],
    'resized_crop': [
        dict(type='RandomResizedCrop'),
        dict(type='Resize', scale=(36, 36), keep_ratio=False),
        dict(type='Flip', flip_ratio=0.5, direction='vertical'),
    ],
    'none': [],
}
SAMPLE = dict(type='SampleVideoClips', clip_len=8)
PACK = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('reader')
    for name, options in VIDEOS.items():
        options = {'size': (90, 64), 'num_frames': NUM_FRAMES, **options}
        encode_video(str(folder / name), **options)
    rotate(folder / 'rotated.mp4')
    # Counts the frames of all of them at once.
    dataset(folder, ours(), list(VIDEOS)).full_init()
    return folder


def ours(geometry=(), after=(), sample=SAMPLE, pack=PACK):
    return [
        dict(type='VideoReaderInit'),
        sample,
        dict(type='ReadVideoClips', transforms=list(geometry)),
        *after,
        *pack,
    ]


def stock(geometry=(), after=(), sample=SAMPLE, pack=PACK):
    return [
        dict(type='DecordInit'),
        sample,
        dict(type='DecordDecode'),
        *geometry,
        *after,
        *pack,
    ]


def dataset(folder, pipeline, name='xvid.avi', kind=None, **kwargs):
    names = [name] if isinstance(name, str) else name
    np.random.seed(0)  # ColorJitter draws when it is built
    ann_file = folder / f'{names[0]}_{len(names)}.txt'
    ann_file.write_text(''.join(f'{name} 1\n' for name in names))
    return (kind or VideoClipDataset)(
        ann_file=str(ann_file),
        data_prefix=dict(video=str(folder)),
        pipeline=pipeline,
        serialize_data=False,  # which takes long
        **kwargs,
    )


def read(data, clips=None, key=(3, 1)):
    clips = range(len(data)) if clips is None else clips
    return data.__getitems__(ClipBatch(clips, key=key))


def assert_same(samples, others):
    assert len(samples) == len(others) > 0
    for one, other in zip(samples, others):
        assert one['inputs'].dtype == torch.uint8
        assert torch.equal(one['inputs'], other['inputs'])
        one, other = one['data_samples'], other['data_samples']
        assert torch.equal(one.gt_label, other.gt_label)
        assert one.metainfo.keys() == other.metainfo.keys()
        assert one.img_shape == other.img_shape


@pytest.mark.parametrize('geometry', GEOMETRIES)
@pytest.mark.parametrize(
    # Of odd heights decord makes other colours.
    'name',
    [name for name in VIDEOS if name not in ODD_HEIGHTS],
)
def test_pixels_are_those_of_the_stock_pipeline(folder, name, geometry):
    geometry = GEOMETRIES[geometry]
    one = dataset(folder, ours(geometry), name)
    other = dataset(folder, stock(geometry), name)
    wanted = read(other)
    assert_same(read(one), wanted)
    assert len(wanted) == NUM_FRAMES // 8
    # Any part of the clips, in any order, draws as in the whole.
    some = [4, 1, 3]
    assert_same(read(one, some), [wanted[clip] for clip in some])


@pytest.mark.parametrize(
    'options',
    [
        dict(per_video_augmentation=True),
        dict(sample=dict(SAMPLE, clip_stride=3)),
        dict(sample=dict(SAMPLE, max_clips=3, keep='random')),
        dict(sample=dict(SAMPLE, clip_len=64)),
        dict(sample=dict(SAMPLE, frame_interval=2)),
        dict(after=[FLIP]),
        dict(after=[CROP, dict(type='ColorJitter')], geometry=[RESIZE]),
        dict(after=[RESIZE, CROP, FLIP], geometry=[]),
        dict(pack=[dict(PACK[0], input_format='NCHW'), PACK[1]]),
        dict(geometry=[dict(FLIP, flip_label_map={1: 5})]),
        dict(
            geometry=[
                RESIZE,
                dict(type='RandomResizedCrop'),
                dict(type='Resize', scale=(36, 36), keep_ratio=False),
                FLIP,
            ]
        ),
        dict(geometry=[FLIP, CROP, RESIZE]),
        dict(
            geometry=[dict(type='RandomRescale', scale_range=(44, 60)), CROP]
        ),
        dict(
            geometry=[
                dict(type='Resize', scale=(70, 60), keep_ratio=False),
                dict(type='MultiScaleCrop', input_size=44, random_crop=True),
                dict(type='Resize', scale=(32, 32), keep_ratio=False),
            ]
        ),
    ],
    ids=lambda options: '-'.join(options),
)
def test_options_and_other_transforms(folder, options):
    options = dict(options)
    kwargs = {
        key: options.pop(key)
        for key in ('per_video_augmentation',)
        if key in options
    }
    options.setdefault('geometry', [RESIZE, CROP])
    one = dataset(folder, ours(**options), 'xvid_b.avi', **kwargs)
    other = dataset(folder, stock(**options), 'xvid_b.avi', **kwargs)
    for epoch in range(3):
        assert_same(read(one, key=(0, epoch)), read(other, key=(0, epoch)))


def test_in_the_stock_dataset(folder):
    kind = DATASETS.get('VideoDataset')
    for geometry in GEOMETRIES.values():
        samples = []
        for pipeline in (ours(geometry), stock(geometry)):
            data = dataset(folder, pipeline, 'h264.mp4', kind)
            np.random.seed(5)
            random.seed(5)
            samples.append(data[0])
            assert samples[-1]['inputs'].shape[:3] == (5, 3, 8)
        assert_same(samples[:1], samples[1:])


def test_views_of_one_array_without_a_copy(folder, monkeypatch):
    data = dataset(folder, ours([RESIZE, CROP]))
    written = []
    planes = clip_array.PlanarClips.planes

    def spy(self, place):
        written.append(self.tensor)
        return planes(self, place)

    monkeypatch.setattr(clip_array.PlanarClips, 'planes', spy)
    samples = read(data, [2, 0, 4])
    (array,) = {id(tensor): tensor for tensor in written}.values()
    for number, sample in enumerate(samples):
        assert sample['inputs'].shape == (1, 3, 8, 40, 40)
        assert sample['inputs'].is_contiguous()
        assert sample['inputs'].data_ptr() == array[number].data_ptr()


@pytest.mark.parametrize('pipeline', [ours, stock])
def test_shared_memory_in_workers(folder, pipeline):
    data = dataset(folder, pipeline([RESIZE, CROP]))
    loader = DataLoader(
        data,
        batch_sampler=[ClipBatch([0, 1, 3], key=(1, 2))],
        num_workers=1,
        collate_fn=_keep_if_shared,
    )
    (batch,) = loader
    wanted = read(data, [0, 1, 3], key=(1, 2))
    assert_same(batch, wanted)


def _keep_if_shared(samples):
    storages = [sample['inputs'].untyped_storage() for sample in samples]
    assert len({storage.data_ptr() for storage in storages}) == 1
    assert storages[0].is_shared()
    return samples


def test_global_generators_are_left_alone(folder):
    for pipeline in (ours([RESIZE, CROP, FLIP]), ours([RESIZE], [CROP])):
        data = dataset(folder, pipeline)
        np.random.seed(1)
        torch.manual_seed(1)
        wanted = np.random.rand(), torch.rand(1)
        np.random.seed(1)
        torch.manual_seed(1)
        read(data)
        assert (np.random.rand(), torch.rand(1)) == wanted
        first, second = read(data, key=None), read(data, key=None)
        assert any(
            not torch.equal(one['inputs'], other['inputs'])
            for one, other in zip(first, second)
        )


def test_a_frame_is_decoded_once_and_only_wanted_ones_converted(
    folder, monkeypatch
):
    counts = Counter()

    def counted(kind, name):
        original = getattr(kind, name)

        def call(*args):
            counts[name] += 1
            found = original(*args)
            return counted_items(found) if name == 'decode' else found

        monkeypatch.setattr(kind, name, call)

    def counted_items(items):
        for item in items:
            counts['frame'] += 1
            yield item

    counted(VideoFile, '__init__')
    counted(VideoFile, 'decode')
    counted(FrameConverter, 'lazily')
    data = dataset(folder, ours(sample=dict(SAMPLE, clip_stride=4)))
    read(data, [0, 1, 6])
    # Clips of 8 frames from 0, 4 and 24 on.
    assert counts == dict(__init__=1, decode=1, frame=32, lazily=12 + 8)


# -------------------------------------------------------------- some frames


def frames(path, wanted):
    found = frame_source.read_frames(str(path), np.asarray(wanted))
    return [(number, frame.copy()) for number, frame in found]


@pytest.mark.parametrize('name', VIDEOS)
def test_some_frames_are_those_of_the_whole(folder, name):
    every = frames(folder / name, range(NUM_FRAMES))
    for wanted in ([0], [1, 2, 3], [21], [7, 8, 30, 31], [39, 44], [44]):
        some = frames(folder / name, wanted)
        assert [number for number, _ in some] == wanted
        for number, frame in some:
            np.testing.assert_array_equal(frame, every[number][1])


# ------------------------------------------------------------------ errors


def test_no_frame_is_repeated_in_place_of_another(folder, tmp_path):
    """The container holds an empty packet more."""
    data = (folder / 'xvid.avi').read_bytes()
    last = data.rindex(b'00dc', 0, data.rindex(b'idx1'))
    path = tmp_path / 'short.avi'
    path.write_bytes(data[: last + 8])
    with pytest.raises(ValueError, match='gave only 44 frames'):
        frames(path, [43, 44])
    assert len(frames(path, [0, 43])) == 2


@pytest.mark.parametrize(
    ('name', 'count'),
    [
        ('xvid_b.avi', 0),  # it ends within a frame, which is damage
        ('variable.mkv', 28),  # Matroska leaves out what is not whole
    ],
)
def test_counts_agree_on_truncated_files(folder, tmp_path, name, count):
    data = (folder / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: len(data) * 2 // 3])
    facts = probe_video(str(path))
    assert facts.frames == count
    if not count:
        assert 'cannot be decoded to the end' in facts.reason
    assert len(frames(path, range(count))) == count
    with pytest.raises(ValueError, match=name):
        frames(path, range(NUM_FRAMES))


def test_too_few_frames_replace_the_video_in_training(folder, monkeypatch):
    names = ['xvid.avi', 'h264.mp4']
    train = dataset(folder, ours([CROP]), names, max_bad_videos=1)
    short = short_decode(lambda path: 20 if 'xvid' in path else NUM_FRAMES)
    monkeypatch.setattr(VideoFile, 'decode', short)
    samples = read(train, range(5))
    for sample in samples:
        assert sample['data_samples'].filename.endswith('h264.mp4')
        assert sample['data_samples'].replaces.endswith('xvid.avi')
    # Clips that end before are read.
    assert 'replaces' not in read(train, [0, 1])[0]['data_samples'].metainfo
    test = dataset(folder, ours([CROP]), names, test_mode=True)
    with pytest.raises(RuntimeError, match='xvid.avi.*gave only 20 frames'):
        read(test, range(5))


def test_errors_name_the_file(folder, tmp_path):
    def run(name, **kwargs):
        results = dict(filename=str(tmp_path / name), modality='RGB', **kwargs)
        for transform in ours([dict(type='RandomCrop', size=500)])[:3]:
            results = TRANSFORMS.build(transform)(results)

    (tmp_path / 'text.avi').write_text('no video')
    with pytest.raises(FileNotFoundError, match='gone.avi'):
        run('gone.avi')
    with pytest.raises(ValueError, match='text.avi'):
        run('text.avi', total_frames=8)
    (tmp_path / 'small.avi').write_bytes((folder / 'xvid.avi').read_bytes())
    with pytest.raises(ValueError, match=r'small.avi.*90x64 do not fit'):
        run('small.avi')
    sizes = [dict(type='RandomRescale', scale_range=(40, 80))]
    with pytest.raises(RuntimeError, match='xvid.avi.*different sizes'):
        read(dataset(folder, ours(sizes), test_mode=True))


def test_transforms_that_it_does_not_know_are_refused():
    for transform in (
        dict(type='ThreeCrop', crop_size=8),
        dict(type='CenterCrop', crop_size=8, lazy=True),
        dict(type='ColorJitter'),
    ):
        with pytest.raises(ValueError, match='cannot be done while reading'):
            ReadVideoClips([transform])
    assert 'RandomCrop(size=8' in repr(
        ReadVideoClips([dict(type='RandomCrop', size=8)])
    )

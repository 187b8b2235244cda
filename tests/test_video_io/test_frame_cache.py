"""The cache of decoded frames: same pixels, bounded, shared, never wrong."""

import errno
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_common import encode_video
from torch.utils.data import DataLoader
from video_files import short_decode

from vll_mmaction.datasets import ClipBatch, ReadVideoClips, VideoClipDataset
from vll_mmaction.video_io import frame_cache
from vll_mmaction.video_io.video_file import VideoFile

NAMES = ['a.avi', 'b.mp4', 'c.avi']
NUM_FRAMES = 21
RESIZE = dict(type='Resize', scale=(-1, 48))
CROP = dict(type='RandomCrop', size=40)
FLIP = dict(type='Flip', flip_ratio=0.5)
# Of a video of 90x64 resized to 68x48.
BYTES = frame_cache.HEADER_BYTES + NUM_FRAMES * 48 * 68 * 3


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('videos')
    for seed, name in enumerate(NAMES):
        options = dict(codec='libx264') if name.endswith('4') else {}
        encode_video(
            str(folder / name),
            num_frames=NUM_FRAMES,
            size=(90, 64),
            b_frames=1,
            seed=seed,
            **options,
        )
    (folder / 'list.txt').write_text(''.join(f'{n} 1\n' for n in NAMES))
    dataset(folder)
    return folder


def dataset(folder, cache=None, transforms=(RESIZE, CROP, FLIP), **kwargs):
    return VideoClipDataset(
        ann_file=str(folder / 'list.txt'),
        data_prefix=dict(video=str(folder)),
        pipeline=[
            dict(type='VideoReaderInit'),
            dict(type='SampleVideoClips', clip_len=4),
            dict(
                type='ReadVideoClips', transforms=list(transforms), cache=cache
            ),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs'),
        ],
        **kwargs,
    )


def read(data, clips=None, epoch=0):
    clips = range(len(data)) if clips is None else clips
    samples = data.__getitems__(ClipBatch(clips, key=(3, epoch)))
    return torch.stack([sample['inputs'] for sample in samples])


def files(cache, ending=frame_cache.ENDING):
    return sorted(Path(cache['folder']).glob(f'*{ending}'))


def used(cache):
    return sum(file.stat().st_size for file in files(cache))


@pytest.fixture
def cache(tmp_path):
    return dict(folder=str(tmp_path / 'cache'), max_gb=1)


@pytest.fixture
def opened(monkeypatch):
    """Videos that were opened."""
    paths = []
    read_frames = frame_cache.read_lazy_frames

    def spy(path, *args):
        paths.append(os.path.basename(path))
        return read_frames(path, *args)

    monkeypatch.setattr(frame_cache, 'read_lazy_frames', spy)
    return paths


@pytest.mark.parametrize(
    'transforms',
    [
        (RESIZE, CROP, FLIP),
        (RESIZE,),
        (dict(RESIZE, interpolation='nearest'), CROP),
        (CROP, FLIP),
        (
            dict(type='RandomResizedCrop'),
            dict(RESIZE, scale=(40, 40), keep_ratio=False),
        ),
        (),
    ],
    ids=lambda transforms: '-'.join(t['type'] for t in transforms) or 'none',
)
def test_pixels_are_the_same_and_decoded_once(
    videos, cache, opened, transforms
):
    plain = dataset(videos, None, transforms)
    kept = dataset(videos, cache, transforms)
    for epoch in range(3):
        assert torch.equal(read(kept, None, epoch), read(plain, None, epoch))
    assert opened == NAMES
    # Any clips, also in another process or run.
    again = dataset(videos, cache, transforms)
    assert torch.equal(read(again, [7, 2, 3]), read(plain, [7, 2, 3]))
    assert opened == NAMES


def test_one_clip_keeps_the_whole_video(videos, cache, opened):
    plain, kept = dataset(videos), dataset(videos, cache)
    for clip in (3, 1, 4, 0, 2):
        assert torch.equal(read(kept, [clip]), read(plain, [clip]))
    assert opened == NAMES[:1]
    assert [file.stat().st_size for file in files(cache)] == [BYTES]


def test_never_beyond_the_bound(videos, cache, opened):
    cache['max_gb'] = (2 * BYTES + BYTES // 2) / 10**9
    plain, kept = dataset(videos), dataset(videos, cache)
    for epoch in range(3):
        assert torch.equal(read(kept, None, epoch), read(plain, None, epoch))
        assert used(cache) == 2 * BYTES
    # The third is tried once, and decoded each time.
    assert opened == [*NAMES, NAMES[2], NAMES[2], NAMES[2]]
    # What is there counts, also for the next process.
    del opened[:]
    read(dataset(videos, cache, (dict(RESIZE, scale=(-1, 50)), CROP)))
    assert used(cache) == 2 * BYTES
    os.remove(files(cache)[0])
    read(dataset(videos, cache))
    assert used(cache) == 2 * BYTES


def test_files_of_other_versions_make_room(videos, cache, opened, monkeypatch):
    cache['max_gb'] = (3 * BYTES + BYTES // 2) / 10**9
    monkeypatch.setattr(frame_cache, 'MADE_BY', '.opencv-4.swscale-1')
    for clip in (0, 5):
        read(dataset(videos, cache), [clip])
    monkeypatch.undo()
    plain, kept = dataset(videos), dataset(videos, cache)
    before = files(cache)
    assert torch.equal(read(kept, [0]), read(plain, [0]))
    assert set(before) < set(files(cache))  # there was room
    for epoch in range(2):
        assert torch.equal(read(kept, None, epoch), read(plain, None, epoch))
    assert used(cache) == 3 * BYTES
    assert not set(before) & set(files(cache))


def test_other_sizes_and_changed_videos_are_kept_apart(
    videos, cache, tmp_path
):
    read(dataset(videos, cache))
    other = (dict(RESIZE, scale=(-1, 56)), CROP)
    found = read(dataset(videos, cache, other))
    assert torch.equal(found, read(dataset(videos, None, other)))
    assert len(files(cache)) == 2 * len(NAMES)
    for name in (*NAMES, 'list.txt'):
        (tmp_path / name).write_bytes((videos / name).read_bytes())
    # The same name, and in the end the same size and number of frames.
    read(dataset(tmp_path, cache))
    (tmp_path / 'a.avi').write_bytes((videos / 'c.avi').read_bytes())
    found = read(dataset(tmp_path, cache))
    assert torch.equal(found, read(dataset(tmp_path)))


def damage_end(file):
    os.truncate(file, file.stat().st_size - 1)


def damage_start(file):
    with file.open('r+b') as opened:
        opened.write(b'\0' * 100)


def damage_all(file):
    file.write_bytes(b'')


def make_another(file):
    file.write_bytes(files(dict(folder=file.parent))[-1].read_bytes())


@pytest.mark.parametrize(
    'damage', [damage_end, damage_start, damage_all, make_another]
)
def test_damaged_files_are_written_again(videos, cache, opened, damage):
    plain, kept = dataset(videos), dataset(videos, cache)
    read(kept)
    damage(files(cache)[0])
    del opened[:]
    for _ in range(2):
        assert torch.equal(read(kept), read(plain))
    assert len(opened) == 1
    assert used(cache) == len(NAMES) * BYTES
    # Never too few: what was cut off counts until the next process looks.
    assert int(Path(cache['folder'], frame_cache.LOCK).read_text()) >= used(
        cache
    )


def test_a_writer_that_died_is_no_obstacle(videos, cache, opened):
    plain, kept = dataset(videos), dataset(videos, cache)
    read(kept)
    file = files(cache)[0]
    left = file.with_name(file.name + frame_cache.UNFINISHED)
    file.rename(left)
    # It may still be at work: nobody else writes this one.
    for _ in range(2):
        assert torch.equal(read(dataset(videos, cache)), read(plain))
        assert left.exists() and not file.exists()
    old = time.time() - frame_cache.STALE_SECONDS - 1
    os.utime(left, (old, old))
    for _ in range(2):
        assert torch.equal(read(dataset(videos, cache)), read(plain))
    assert file.exists() and not left.exists()


def test_a_disk_without_room(videos, cache, monkeypatch):
    said = []
    monkeypatch.setattr(
        frame_cache, 'print_log', lambda text, *a, **k: said.append(text)
    )
    kept = dataset(videos, cache)
    add, left = frame_cache._Writer.add, [30]

    def full(self, image):
        left[0] -= 1
        if left[0] < 0 and self._output is not None:
            self._output = Broken(self._output)
        add(self, image)

    class Broken:
        def __init__(self, file):
            self.close, self.fileno = file.close, file.fileno

        def write(self, data):
            raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(frame_cache._Writer, 'add', full)
    plain = dataset(videos)
    for _ in range(2):
        assert torch.equal(read(kept), read(plain))
    assert len(files(cache)) == 1 and not files(cache, frame_cache.UNFINISHED)
    assert len(said) == 1 and 'No space left' in said[0]


def test_what_nobody_asks_for_may_be_bad(videos, cache, monkeypatch):
    plain, kept = dataset(videos), dataset(videos, cache, max_bad_videos=1)
    wanted = read(plain, [0, 1])
    monkeypatch.setattr(VideoFile, 'decode', short_decode(lambda path: 10))
    assert torch.equal(read(kept, [0, 1]), wanted)
    assert not files(cache) and not files(cache, frame_cache.UNFINISHED)
    kept.test_mode = True
    with pytest.raises(RuntimeError, match='gave only 10 frames'):
        read(kept, [0, 1, 2])
    assert not files(cache, frame_cache.UNFINISHED)


def first(samples):
    return torch.stack([sample['inputs'] for sample in samples])


def test_workers_share_it(videos, cache):
    plain, kept = dataset(videos), dataset(videos, cache)
    # Clips of one video meet in several workers.
    order = np.random.default_rng(0).permutation(len(kept)).tolist()
    for epoch in range(2):
        batches = [ClipBatch([clip], key=(1, epoch)) for clip in order]
        loader = DataLoader(
            kept, batch_sampler=batches, num_workers=3, collate_fn=first
        )
        for batch, found in zip(batches, loader):
            assert torch.equal(found, first(plain.__getitems__(batch)))
    assert used(cache) == len(NAMES) * BYTES
    lock = Path(cache['folder'], frame_cache.LOCK)
    assert int(lock.read_text()) == used(cache)
    assert not files(cache, frame_cache.UNFINISHED)


def fill(folder, cache, wait):
    data = dataset(folder, cache)
    wait.wait()
    read(data)


def test_processes_together_stay_below_the_bound(videos, cache):
    cache['max_gb'] = 2.5 * BYTES / 10**9
    context = multiprocessing.get_context('fork')
    barrier = context.Barrier(3)
    processes = [
        context.Process(target=fill, args=(videos, cache, barrier))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert 0 < used(cache) <= 2 * BYTES
    assert not files(cache, frame_cache.UNFINISHED)
    assert torch.equal(read(dataset(videos, cache)), read(dataset(videos)))


def test_options_are_checked(tmp_path):
    for size in (0, -1):
        with pytest.raises(ValueError, match='max_gb'):
            ReadVideoClips(cache=dict(folder=str(tmp_path), max_gb=size))
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match='cannot be used'):
        ReadVideoClips(cache=dict(folder=str(tmp_path / 'file'), max_gb=1))
    reader = ReadVideoClips(cache=dict(folder=str(tmp_path), max_gb=2))
    assert 'max_gb=2' in repr(reader)
    assert 'cache' not in repr(ReadVideoClips())

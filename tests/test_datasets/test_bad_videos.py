"""Bad videos never crash, hang or mix: they are named, left out, replaced."""

import collections
import logging
import multiprocessing
import os
import re
import signal
import struct
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import av
import bad_videos
import numpy as np
import pytest
import torch
from mmaction.datasets import VideoDataset
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader
from video_files import read_video, write_dataset, write_parts, write_video

from vll_mmaction.datasets import (
    ClipBatch,
    VideoClipDataset,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)
from vll_mmaction.datasets.samplers import video_sampler
from vll_mmaction.video_io import counting, prober, video_probe
from vll_mmaction.video_io.frame_index import load_or_build
from vll_mmaction.video_io.video_probe import probe_video

STOCK = [
    dict(type='DecordInit'),
    dict(type='SampleVideoClips', clip_len=8),
    dict(type='DecordDecode'),
]
OURS = [
    dict(type='VideoReaderInit'),
    dict(type='SampleVideoClips', clip_len=8),
    dict(type='ReadVideoClips'),
]
PACK = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]


def make(folder, read=OURS, **kwargs):
    return VideoClipDataset(
        ann_file=str(folder / 'ann.txt'),
        data_prefix=dict(video=str(folder / 'videos')),
        pipeline=[*read, *PACK],
        **kwargs,
    )


def add(folder, *names):
    with open(folder / 'ann.txt', 'a') as file:
        file.writelines(f'{name} 1\n' for name in names)


# ------------------------------------------------------------- kinds of videos


def encode(path, codec, pix_fmt, frames=9, size=(96, 64)):
    """Encode moving noise."""
    width, height = size
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(
                np.roll(image, 5 * number, axis=1), format='rgb24'
            )
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode())


def sound_only(path):
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('pcm_s16le', rate=8000)
        stream.layout = 'mono'
        samples = np.zeros((1, 8000), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, 's16', 'mono')
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def cut(path):
    write_video(path, 40, fourcc='XVID')
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def header_lies(path):
    write_video(path, 9)
    data = bytearray(path.read_bytes())
    struct.pack_into('<I', data, data.index(b'avih') + 24, 5000)
    struct.pack_into('<I', data, data.index(b'vids') + 32, 5000)
    path.write_bytes(data)


def turned(path):
    encode(path, 'libx264', 'yuv420p')
    data = bytearray(path.read_bytes())
    at = data.index(b'tkhd') + 4 + 40
    struct.pack_into(
        '>9i', data, at, 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30
    )
    path.write_bytes(data)


def wrong_ending(path):
    write_video(path.with_suffix('.avi'), 9, fourcc='XVID')
    path.with_suffix('.avi').rename(path)


def unreadable(path):
    write_video(path, 9)
    path.chmod(0)


def playlist(path):
    write_video(path.with_name('good.avi'), 9)
    path.write_text('ffconcat version 1.0\nfile good.avi\n')


def two_sizes(path):
    sizes = dict(width=96, height=64), dict(width=64, height=96)
    write_parts(path, 'mpeg4', sizes)


GOOD = {
    'one_frame.avi': lambda path: write_video(path, 1),
    'grey.mkv': lambda path: encode(path, 'ffv1', 'gray'),
    'alpha.mov': lambda path: encode(path, 'qtrle', 'argb'),
    'turned.mp4': turned,
    'wrong_ending.mp4': wrong_ending,
    'header_lies.avi': header_lies,
    '8k.avi': lambda path: encode(path, 'mjpeg', 'yuvj420p', 2, (7680, 4320)),
}
BAD = {
    'empty.avi': (lambda path: path.write_bytes(b''), 'the file is empty'),
    'text.avi': (
        lambda path: path.write_text('text\n' * 99),
        'it cannot be opened as a video: ',
    ),
    'sound.mkv': (sound_only, 'it holds no video'),
    'cut.avi': (cut, 'its mpeg4 video cannot be decoded to the end'),
    'folder.avi': (lambda path: path.mkdir(), 'it is not a file'),
    'pipe.avi': (lambda path: os.mkfifo(path), 'it is not a file'),
    'two_sizes.avi': (
        two_sizes,
        'its frames change their size, from 96x64 to 64x96',
    ),
    'playlist.avi': (playlist, 'it cannot be opened as a video: '),
    'gone.avi': (lambda path: None, 'there is no such file'),
    'null\0.avi': (lambda path: None, 'it cannot be read: embedded null byte'),
}


@pytest.fixture(scope='module')
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp('kinds')
    write_dataset(folder, [9])
    for name, kind in GOOD.items():
        kind(folder / 'videos' / name)
    for name, (kind, _) in BAD.items():
        if '\0' not in name:
            kind(folder / 'videos' / name)
    add(folder, *GOOD, *BAD)
    crop = dict(type='CenterCrop', crop_size=48)
    read = [*OURS[:2], dict(OURS[2], transforms=[crop])]
    return folder, make(folder, read, max_bad_videos=0.9, test_mode=True)


def test_the_report_names_each_bad_video(kinds):
    folder, dataset = kinds
    path = folder / 'videos' / 'frame_index.bad.txt'
    head, *lines = path.read_text().splitlines()
    total = 1 + len(GOOD) + len(BAD)
    assert head.startswith(
        f'# {len(BAD)} of the {total} videos in frame_index cannot be'
    )
    found = dict(line.split(': ', 1) for line in lines)
    assert found.keys() == {name.replace('\0', '\\x00') for name in BAD}
    for name, (_, reason) in BAD.items():
        assert found[name.replace('\0', '\\x00')].startswith(reason)
    names = [
        os.path.basename(dataset._video_info(video)['filename'])
        for video in range(len(dataset.clip_counts))
    ]
    assert names == ['0.avi', *GOOD]


@pytest.mark.parametrize('name', GOOD)
def test_unusual_videos_give_their_own_frames(kinds, name):
    folder, dataset = kinds
    video = 1 + list(GOOD).index(name)
    frames = read_video(folder / 'videos' / name)
    if name == 'turned.mp4':
        frames = np.rot90(frames, -1, (1, 2))
    info = dataset._video_info(video)
    assert info['total_frames'] == len(frames)
    first = int(dataset.clip_counts[:video].sum())
    clips = range(first, first + dataset.clip_counts[video])
    top, left = (np.asarray(frames.shape[1:3]) - 48) // 2
    frames = frames[:, top : top + 48, left : left + 48]
    for clip, sample in enumerate(dataset.__getitems__(list(clips))):
        wanted = frames[np.arange(8 * clip, 8 * clip + 8) % len(frames)]
        clip = sample['inputs'][0].permute(1, 2, 3, 0).numpy()
        np.testing.assert_array_equal(clip, wanted)


def test_rights_that_are_given_later_are_noticed(tmp_path, monkeypatch):
    """Root may read everything, so that another user is imitated."""
    path = write_video(tmp_path / '0.avi', 9)

    def refuse(path, mode):
        raise PermissionError(13, 'Permission denied', path)

    def count(videos, _):
        for video in videos:
            yield video, prober.file_stamp(video), probe_video(video)

    os.chmod(path, 0o600)
    with monkeypatch.context() as patch:
        patch.setattr(os, 'access', lambda path, mode: False)
        patch.setattr(video_probe, 'open', refuse, raising=False)
        patch.setattr(counting, 'count_frames', count)
        index = load_or_build([path], f'{tmp_path}/index')
    assert index[path].reason == 'it cannot be read: Permission denied'
    assert load_or_build([path], f'{tmp_path}/index')[path].frames == 9
    assert not os.path.exists(index.report)


# ---------------------------------------------------------------- in training


def test_the_test_reader_refuses_a_change_of_size_by_name(tmp_path):
    two_sizes(tmp_path / 'two_sizes.avi')
    (tmp_path / 'ann.txt').write_text('two_sizes.avi 0\n')
    dataset = VideoDataset(
        ann_file=str(tmp_path / 'ann.txt'),
        data_prefix=dict(video=str(tmp_path)),
        pipeline=[*OURS, *PACK],
        test_mode=True,
    )
    with pytest.raises(ValueError, match='two_sizes.avi: its frames change'):
        dataset[0]


def loader(dataset, num_workers=2, batch_size=2, **kwargs):
    sampler = VideoGroupedSampler(dataset, seed=3)
    return DataLoader(
        dataset,
        batch_sampler=VideoGroupedBatchSampler(sampler, batch_size),
        num_workers=num_workers,
        collate_fn=pseudo_collate,
        **kwargs,
    )


def check_batches(batches, dataset, batch_size):
    """Whole videos, no foreign clip, no empty batch; counts replacements."""
    replaced = collections.Counter()
    for batch in batches:
        videos = collections.defaultdict(list)
        for inputs, sample in zip(batch['inputs'], batch['data_samples']):
            videos[sample.video_id].append((inputs, sample))
        assert len(videos) == batch_size
        for video, clips in videos.items():
            samples = [sample for _, sample in clips]
            assert [sample.clip_id for sample in samples] == list(
                range(dataset.clip_counts[video])
            )
            (name,) = {sample.filename for sample in samples}
            assert name == dataset._video_info(video)['filename']
            frames = read_video(name)
            for inputs, sample in clips:
                np.testing.assert_array_equal(
                    inputs[0].permute(1, 2, 3, 0).numpy(),
                    frames[sample.frame_inds],
                )
            if 'replaces' in samples[0]:
                replaced[os.path.basename(samples[0].replaces)] += 1
    return replaced


@pytest.fixture
def large(tmp_path):
    """Sixty videos, of which three are bad and two go bad later."""
    lengths = [9, 17, 30, 8] * 15
    write_dataset(tmp_path, lengths)
    videos = tmp_path / 'videos'
    (videos / '7.avi').write_bytes(b'')
    (videos / '20.avi').write_text('text')
    (videos / '33.avi').unlink()

    def spoil():
        (videos / '11.avi').unlink()
        data = (videos / '42.avi').read_bytes()
        (videos / '42.avi').write_bytes(data[: len(data) // 2])

    return tmp_path, spoil


def test_ranks_keep_equal_steps_and_whole_videos(large, monkeypatch):
    # Of stock's reader decord ends the process at some damaged files.
    folder, spoil = large
    dataset = make(folder, OURS)
    spoil()
    ranks = []
    for rank in range(2):
        info = rank, 2
        monkeypatch.setattr(video_sampler, 'get_dist_info', lambda i=info: i)
        data = loader(dataset, num_workers=rank, batch_size=3)
        epochs = []
        for epoch in range(2):
            data.batch_sampler.sampler.set_epoch(epoch)
            epochs.append(list(data))
        ranks.append(epochs)
    assert [len(e) for r in ranks for e in r] == [10] * 4
    for epoch in range(2):
        replaced = sum(
            (check_batches(r[epoch], dataset, 3) for r in ranks),
            collections.Counter(),
        )
        assert set(replaced) == {'11.avi', '42.avi'}


def rank(number, folder, counts, answers):
    """A process of two: what it says to the clip counts it has."""
    torch.distributed.init_process_group(
        'gloo', f'file://{folder}/meet', rank=number, world_size=2
    )
    try:
        dataset = SimpleNamespace(clip_counts=counts[number])
        sampler = VideoGroupedSampler(dataset, seed=0)
        answers.put(len(VideoGroupedBatchSampler(sampler, 1)))
    except RuntimeError as error:
        answers.put(str(error))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    'counts, wanted',
    [
        ([[1, 2, 3], [1, 2, 3]], 2),
        ([[1, 2, 3], [1, 2]], 'rank 0: 3 .*, rank 1: 2 .*bad.txt'),
        ([[1, 2, 3], [1, 3, 2]], 'rank 0: 3 .*, rank 1: 3 .*bad.txt'),
    ],
)
def test_ranks_with_different_videos_stop(tmp_path, counts, wanted):
    fork = multiprocessing.get_context('fork')
    answers = fork.Queue()
    processes = [
        fork.Process(target=rank, args=(number, tmp_path, counts, answers))
        for number in range(2)
    ]
    for process in processes:
        process.start()
    found = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    for answer in found:
        assert re.search(str(wanted), str(answer))


def test_failures_of_all_workers_count_together(large):
    folder, spoil = large
    dataset = make(folder)
    spoil()
    (folder / 'videos/50.avi').write_bytes(b'')
    with pytest.raises(RuntimeError) as caught:
        for epoch in range(2):
            data = loader(dataset, num_workers=3, batch_size=3)
            data.batch_sampler.sampler.set_epoch(epoch)
            list(data)
    message = str(caught.value)
    assert (
        '3 videos could not be read, more than max_bad_videos=0.05 of 57'
        in (message)
    )
    for number in (11, 42, 50):
        assert re.search(rf'{number}.avi \(.*ann.txt, line', message)


class Printer(logging.Handler):
    """Prints to the stdout there is then, unlike a StreamHandler."""

    def emit(self, record):
        print(self.format(record), flush=True)


@pytest.fixture
def rank_1_logger(capfd):
    """MMEngine's logger as it is on ranks above 0; printed by capfd."""
    logger = MMLogger.get_instance('rank_1', logger_name='rank_1')
    logger.handlers[:] = [Printer(logging.ERROR)]
    yield capfd
    MMLogger._instance_dict.pop('rank_1')


def test_a_replacement_is_counted_and_logged_on_every_rank(
    large, rank_1_logger
):
    folder, spoil = large
    dataset = make(folder)
    spoil()
    for epoch in range(2):
        for clip in range(len(dataset)):
            video, number = dataset.data_list.locate(clip)
            if number == dataset.clip_counts[video] - 1:
                dataset.__getitems__(ClipBatch([clip], key=(0, epoch)))
    lines = [
        line
        for line in rank_1_logger.readouterr().out.splitlines()
        if 'takes its place' in line
    ]
    assert len(lines) == 4
    for line, number, count in zip(lines, (11, 42) * 2, (1, 2, 2, 2)):
        assert f'{number}.avi (' in line
        assert f'Unreadable so far: {count} of 57.' in line


def test_none_is_allowed(tmp_path):
    write_dataset(tmp_path, [9] * 3)
    dataset = make(tmp_path, max_bad_videos=0)
    (tmp_path / 'videos/1.avi').unlink()
    with pytest.raises(RuntimeError, match='1 videos could not be read'):
        dataset.__getitems__([1])


def test_too_many_bad_videos_stop_with_the_list_and_the_report(tmp_path):
    write_dataset(tmp_path, [9] * 3)
    for number in range(60):
        (tmp_path / f'videos/bad_{number}.avi').write_bytes(b'')
    add(tmp_path, *(f'bad_{number}.avi' for number in range(60)))
    with pytest.raises(ValueError) as caught:
        make(tmp_path)
    message = str(caught.value)
    assert message.startswith('60 of 63 videos cannot be used:\n')
    assert message.count('the file is empty') == 50
    assert '\n  and 10 more\nThe full list is in ' in message
    report = re.search(r'list is in (.*)\.\n', message)[1]
    assert Path(report).read_text().count('the file is empty') == 60
    # The list goes with the last bad video, and comes back if it is lost.
    os.remove(report)
    with pytest.raises(ValueError, match=re.escape(report)):
        make(tmp_path)
    for number in range(60):
        write_video(tmp_path / f'videos/bad_{number}.avi', 1)
    make(tmp_path)
    assert not os.path.exists(report)


class Crash:
    """Stands in for a decoder that crashes on a file."""

    def __init__(self, name):
        self.name = name

    def __call__(self, results):
        if results['filename'].endswith(self.name):
            os.kill(os.getpid(), signal.SIGSEGV)
        return results


def end_of_job(data, capfd):
    """What is printed when an error of the data loader ends the process."""
    with pytest.raises(RuntimeError, match='DataLoader worker') as caught:
        list(data)
    sys.excepthook(caught.type, caught.value, None)
    return capfd.readouterr().out


def test_a_crash_in_training_ends_it_with_the_name(
    tmp_path, rank_1_logger, monkeypatch
):
    write_dataset(tmp_path, [9] * 6)
    first = make(tmp_path)
    # Another's hook on top of ours, as torch.distributed sets one.
    below = sys.excepthook
    monkeypatch.setattr(sys, 'excepthook', lambda *error: below(*error))
    dataset = make(tmp_path, [Crash('/4.avi'), *OURS])
    out = end_of_job(loader(dataset), rank_1_logger)
    del first
    assert re.search(r'was lost while it read .*/4.avi \(.*, line 5\)', out)
    assert out.count('was lost') == 1


def test_a_hang_in_training_ends_it_with_the_name(tmp_path, rank_1_logger):
    write_dataset(tmp_path, [9] * 6)
    dataset = make(tmp_path, STOCK, max_read_seconds=2)
    # Whoever opens it waits for ever.
    (tmp_path / 'videos/4.avi').unlink()
    os.mkfifo(tmp_path / 'videos/4.avi')
    started = time.monotonic()
    out = end_of_job(loader(dataset), rank_1_logger)
    assert time.monotonic() - started < 60
    assert re.search(r'/4.avi \(.*, line 5\): reading it has taken 2 s', out)
    assert re.search(r'was lost while it read .*/4.avi', out)


def test_a_slow_batch_of_quick_videos_is_no_hang(tmp_path):
    write_dataset(tmp_path, [9] * 6)
    dataset = make(tmp_path, max_read_seconds=1)
    data = loader(dataset, num_workers=1, persistent_workers=True)
    for _ in range(2):
        assert len(list(data)) == 3
        time.sleep(1.2)
    with pytest.raises(ValueError, match='max_read_seconds must be above 0'):
        make(tmp_path, max_read_seconds=0)


# ------------------------------------------------------------ at random, small


def test_damaged_at_random(capsys):
    """A small form of the stress test; every kind of damage and source."""
    assert bad_videos.main(['--files', '39', '--seed', '3']) == 0
    out = capsys.readouterr().out
    assert '39 files, seed 3' in out
    videos, replaced, lost = re.search(
        r'whole videos \| (\d+) \| (\d+) \| (\d+)', out
    ).groups()
    assert int(videos) > 8 and lost == '0'


def test_wrong_frames_would_be_found(tmp_path):
    frames = [[3, 30], [4, 40]]
    assert bad_videos.is_part(frames, [0, 10, 20, 30, 40])
    assert not bad_videos.is_part(frames, [0, 10, 20, 30])
    assert not bad_videos.is_part(frames, [0, 10, 20, 40, 30])
    tasks = [(work,) for work in (int, os.abort, time.time, hang, int)]
    found = list(bad_videos.in_children(3, call, tasks))
    assert isinstance(found[2].pop('frames'), float)
    aborted = dict(crashed=-signal.SIGABRT)
    read = dict(frames=0)
    assert found == [read, aborted, {}, dict(hung=3), read]


def call(work):
    return work()


def hang():
    time.sleep(99)

"""Each kind of video, by each of our readers, against an independent one."""

import functools
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import video_zoo
from mmaction.registry import DATASETS
from video_zoo import GOOD, KINDS, ZOO, oracle_frames, program_frames

from vll_mmaction.datasets import ClipBatch, VideoClipDataset
from vll_mmaction.datasets.clip_stream import FramesInOrder
from vll_mmaction.video_io.frame_source import read_frames
from vll_mmaction.video_io.video_probe import probe_video

CLIP_LEN = 8
SAMPLE = dict(type='SampleVideoClips', clip_len=CLIP_LEN)
PACK = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('frame_inds',)),
]
DECORD = [dict(type='DecordInit'), SAMPLE, dict(type='DecordDecode'), *PACK]


def ours(**kwargs):
    read = dict(type='ReadVideoClips', **kwargs)
    return [dict(type='VideoReaderInit'), SAMPLE, read, *PACK]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('zoo')
    # In a new process: libvpx fails once decord has been loaded.
    command = [sys.executable, video_zoo.__file__, str(folder)]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    subprocess.run(command, check=True, capture_output=True, env=env)
    there = [name for name in GOOD if (folder / name).exists()]
    assert len(there) > 85
    return folder


@pytest.fixture(scope='module')
def wanted(folder):
    """The frames of a video."""

    @functools.lru_cache(maxsize=2)
    def frames(name):
        if not (folder / name).exists():
            pytest.skip(f'{ZOO[name].needs} is not there')
        return oracle_frames(str(folder / name), ZOO[name])

    return frames


@pytest.fixture(scope='module')
def clips_of(folder):
    """The clips of a video, by a pipeline."""

    def dataset(names, pipeline):
        (folder / 'list.txt').write_text(''.join(f'{x} 0\n' for x in names))
        return VideoClipDataset(
            ann_file=str(folder / 'list.txt'),
            data_prefix=dict(video=str(folder)),
            pipeline=pipeline,
            test_mode=True,
            serialize_data=False,  # which takes long
        )

    there = [name for name in GOOD if (folder / name).exists()]
    assert len(dataset(there, ours()).clip_counts) == len(there)

    def read(name, pipeline, one_by_one=False):
        data = dataset([name], pipeline)
        size = 1 if one_by_one else len(data)
        samples = []
        for start in range(0, len(data), size):
            batch = ClipBatch(range(start, start + size), key=None)
            samples += data.__getitems__(batch)
        return [
            (x['data_samples'].frame_inds, x['inputs'][0]) for x in samples
        ]

    return read


def assert_clips(clips, frames):
    assert len(clips) == max(1, len(frames) // CLIP_LEN)
    for frame_inds, clip in clips:
        clip = clip.permute(1, 2, 3, 0).numpy()
        np.testing.assert_array_equal(clip, frames[frame_inds])


every_good_kind = pytest.mark.parametrize('name', GOOD)


@every_good_kind
def test_the_index(folder, name, wanted):
    frames = wanted(name)
    facts = probe_video(str(folder / name))
    assert facts.reason == ''
    assert facts.frames == len(frames)
    assert (facts.height, facts.width) == frames.shape[1:3]
    numbers = [key.frame for key in facts.keys]
    assert numbers == sorted(set(numbers))
    assert all(0 < number < len(frames) for number in numbers)


@every_good_kind
def test_training_and_testing(name, wanted, clips_of):
    frames = wanted(name)
    assert_clips(clips_of(name, ours()), frames)


@every_good_kind
def test_clips_that_are_sought(name, wanted, clips_of):
    frames = wanted(name)
    assert_clips(clips_of(name, ours(seek=True), one_by_one=True), frames)


@every_good_kind
def test_the_cache(folder, name, wanted, clips_of):
    frames = wanted(name)
    cache = dict(folder=str(folder / 'cache'), max_gb=1)
    for _ in range(2):
        assert_clips(clips_of(name, ours(cache=cache)), frames)


@every_good_kind
def test_in_the_stock_dataset(folder, name, wanted):
    frames = wanted(name)
    (folder / 'one.txt').write_text(f'{name} 0\n')
    data = DATASETS.get('VideoDataset')(
        ann_file=str(folder / 'one.txt'),
        data_prefix=dict(video=str(folder)),
        pipeline=ours(),
        test_mode=True,
        serialize_data=False,
    )
    (sample,) = data
    frame_inds = sample['data_samples'].frame_inds.reshape(-1, CLIP_LEN)
    assert_clips(list(zip(frame_inds, sample['inputs'])), frames)


@every_good_kind
def test_the_demo(folder, name, wanted):
    frames = wanted(name)
    inds = np.arange(len(frames))
    reader = FramesInOrder(str(folder / name), inds)
    found = [reader.get_batch(inds[[n]]).asnumpy()[0] for n in inds]
    np.testing.assert_array_equal(found, frames)


@pytest.mark.skipif(not shutil.which('ffmpeg'), reason='needs ffmpeg')
@pytest.mark.parametrize('name', [x for x in GOOD if not ZOO[x].differs])
def test_all_that_is_what_the_ffmpeg_program_shows(folder, name, wanted):
    frames = wanted(name)
    size = frames.shape[2], frames.shape[1]
    found = program_frames(str(folder / name), size)
    np.testing.assert_array_equal(found, frames)


@every_good_kind
def test_decord_where_nothing_is_said_of_it(folder, name, wanted, clips_of):
    frames = wanted(name)
    if not probe_video(str(folder / name)).decord:
        assert_clips(clips_of(name, DECORD), frames)


@pytest.mark.parametrize(
    ('name', 'said'),
    [
        ('xvid.avi', ''),
        ('xvid_packed_b.avi', 'decord counts 25 frames, there are 24'),
        ('h264_hidden.mp4', 'decord counts 108 frames, there are 102'),
        ('mirror_x.mp4', 'decord does not mirror frames'),
        ('gif.gif', 'decord cannot read gif in gif'),
        ('vp9_no_duration.webm', 'decord opens no file that does not state'),
        ('second_is_larger.mkv', 'decord takes another of its video streams'),
    ],
)
def test_what_is_said_of_decord(folder, name, said):
    found = probe_video(str(folder / name)).decord
    assert found.startswith(said) and bool(found) == bool(said)


@pytest.mark.parametrize('name', [x for x in KINDS if ZOO[x].refused])
def test_what_cannot_be_used_is_refused_by_name(folder, name):
    path = str(folder / name)
    facts = probe_video(path)
    assert facts.frames == 0
    assert re.search(ZOO[name].refused, facts.reason)
    if not name.startswith('size_changes'):
        with pytest.raises(ValueError, match=re.escape(name)):
            list(read_frames(path, np.arange(33)))


@pytest.mark.parametrize(
    'name', ['xvid.avi', 'h264_b.mp4', 'h264_hidden.mp4', 'vp9.webm']
)
def test_packets_are_counted_where_they_are_vouched_for(folder, name):
    facts = probe_video(str(folder / name), count='packets')
    decoded = probe_video(str(folder / name))
    assert facts.frames == decoded.frames
    assert (facts.width, facts.height) == (decoded.width, decoded.height)
    assert facts.keys == ()

"""The frames are the same, wherever a seek lands and whatever fails there."""

from collections import Counter
from types import SimpleNamespace

import av
import numpy as np
import pytest
from video_files import write_parts

from vll_mmaction.video_io import frame_source
from vll_mmaction.video_io.frame_source import read_frames
from vll_mmaction.video_io.video_facts import KeyPacket
from vll_mmaction.video_io.video_file import VideoFile
from vll_mmaction.video_io.video_probe import probe_video

NUM_FRAMES, EVERY = 140, 45  # frames, and from one key frame to the next
WANTED = [2, 3, 70, 137]  # two are behind a key frame that is worth a seek


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write_parts(
        tmp_path_factory.mktemp('source') / 'a.mkv',
        'mpeg4',
        [dict(width=64, height=48, gop_size=EVERY)],
        num_frames=NUM_FRAMES,
    )


@pytest.fixture(scope='module')
def keys(path):
    found = probe_video(path).keys
    assert [key.frame for key in found] == [45, 90, 135]
    return found


@pytest.fixture(scope='module')
def every(path):
    found = [frame.copy() for _, frame in read_frames(path, np.arange(140))]
    assert all((a != b).any() for a, b in zip(found, found[1:]))
    return found


class Container:
    """A container whose seeks go elsewhere."""

    def __init__(self, container, seek):
        self._container, self.seek = container, seek

    def __getattr__(self, name):
        return getattr(self._container, name)


@pytest.fixture
def watched(monkeypatch):
    """Counts what is done, and has seeks and decoding changed."""

    found = SimpleNamespace(
        counts=Counter(), seek=seek, decoded=lambda frames, seeks: frames
    )

    class Watched(VideoFile):
        def __init__(self, path):
            super().__init__(path)
            found.counts['opened'] += 1
            self.seeks, container = 0, self.container

            def sought(time, **kwargs):
                found.counts['sought'] += 1
                self.seeks += 1
                found.seek(container, time, **kwargs)

            self.container = Container(container, sought)

        def decode(self, packets):
            for frame in found.decoded(super().decode(packets), self.seeks):
                found.counts['frames'] += 1
                yield frame

        def close(self):
            found.counts['closed'] += 1
            super().close()

    monkeypatch.setattr(frame_source, 'VideoFile', Watched)
    return found


def seek(container, time, **kwargs):
    container.seek(time, **kwargs)


def assert_right(path, keys, every, wanted=WANTED):
    found = list(read_frames(path, np.asarray(wanted), keys))
    assert [number for number, _ in found] == wanted
    for number, frame in found:
        np.testing.assert_array_equal(frame, every[number])


def test_seeks_save_frames(watched, path, keys, every):
    assert_right(path, keys, every)
    # 0 to 3, 45 to 70, 135 to 137.
    expected = dict(opened=1, closed=1, sought=2, frames=4 + 26 + 3)
    assert watched.counts == expected


def test_without_keys_it_is_read_on(watched, path, every):
    assert_right(path, (), every)
    assert watched.counts == dict(opened=1, closed=1, frames=138)


def test_a_few_frames_are_not_worth_a_seek(watched, path, keys, every):
    wanted = [10, 50, 80, 120]
    assert_right(path, keys, every, wanted)
    assert watched.counts == dict(opened=1, closed=1, frames=121)


def from_the_start(counts):
    return counts['opened'] == counts['closed'] == 2


def lands_behind(container, time, **kwargs):
    container.seek(time + 2000, **kwargs)


def lands_at_the_end(container, time, **kwargs):
    container.seek(10**6, backward=False, any_frame=True, **kwargs)


def fails(container, time, **kwargs):
    raise av.FFmpegError(1, 'Operation not permitted')


@pytest.mark.parametrize('land', [lands_behind, lands_at_the_end, fails])
def test_a_seek_that_lands_wrong(watched, path, keys, every, land):
    watched.seek = land
    assert_right(path, keys, every)
    assert from_the_start(watched.counts)
    # None is tried again.
    assert watched.counts['sought'] <= 2


def test_a_seek_that_lands_too_early(watched, path, keys, every):
    """The packets up to the key are left out."""
    watched.seek = lambda container, time, **kw: container.seek(0, **kw)
    assert_right(path, keys, every)
    expected = dict(opened=1, closed=1, sought=2, frames=4 + 26 + 3)
    assert watched.counts == expected


@pytest.mark.parametrize('shift', [(0, 7), (7, 0), (7, 7), (-7, -7)])
def test_a_key_packet_that_is_not_there(watched, path, keys, every, shift):
    """As where the file has been replaced."""
    wrong = [
        KeyPacket(key.frame, key.pts + shift[0], key.dts + shift[1])
        for key in keys
    ]
    assert_right(path, wrong, every)
    assert from_the_start(watched.counts)


def test_a_decoder_that_leaves_out_the_key_frame(watched, path, keys, every):
    """As some do in open groups of pictures."""

    def without_first(frames, seeks):
        if seeks:
            next(frames)
        return frames

    watched.decoded = without_first
    assert_right(path, keys, every)
    assert from_the_start(watched.counts)


@pytest.mark.parametrize('number', [0, 5])
def test_a_decoder_that_fails_behind_a_seek(
    watched, path, keys, every, number
):
    def failing(frames, seeks):
        for place, frame in enumerate(frames):
            if seeks and place == number:
                raise ValueError('a.mkv: it cannot be decoded')
            yield frame

    watched.decoded = failing
    assert_right(path, keys, every)
    assert from_the_start(watched.counts)


@pytest.mark.parametrize('with_keys', [False, True])
def test_a_video_that_cannot_be_read_is_named(watched, path, keys, with_keys):
    def failing(frames, seeks):
        for place, frame in enumerate(frames):
            if place == 60 or seeks:
                raise ValueError('a.mkv: it cannot be decoded')
            yield frame

    watched.decoded = failing
    found = read_frames(path, np.asarray(WANTED), keys if with_keys else ())
    assert [next(found)[0] for _ in range(2)] == [2, 3]
    with pytest.raises(ValueError, match='cannot be decoded'):
        next(found)
    assert (
        watched.counts['opened'] == watched.counts['closed'] == 1 + with_keys
    )


def test_a_frame_that_is_not_there(watched, path, keys):
    with pytest.raises(ValueError, match='gave only 140 frames') as error:
        list(read_frames(path, np.asarray([3, 150]), keys))
    assert path in str(error.value)
    assert from_the_start(watched.counts)


def test_who_stops_early_leaves_no_file_open(watched, path):
    frames = read_frames(path, np.arange(140))
    next(frames)
    frames.close()
    assert watched.counts['closed'] == 1

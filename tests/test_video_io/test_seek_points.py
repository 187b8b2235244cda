"""Where reading may begin: found, verified, and the same frames as without."""

import os
import shutil
import signal
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from bench_common import encode_video
from mmaction.registry import DATASETS
from video_files import rotate, write_video

from vll_mmaction.datasets import ClipBatch, VideoClipDataset
from vll_mmaction.video_io import frame_index, frame_source, seek_points
from vll_mmaction.video_io.frame_index import FrameIndex, load_or_build
from vll_mmaction.video_io.frame_source import (
    SEEK_COST,
    SeekPoint,
    read_frames,
)
from vll_mmaction.video_io.seek_points import (
    OPENCV_GOES_BACK,
    SPACING,
    find_seek_points,
)

NUM_FRAMES = 240
H264 = dict(codec='libx264', b_frames=2)
VIDEOS = {
    'xvid.avi': {},
    'xvid_b.avi': dict(b_frames=2),
    'mp4v_b.mp4': dict(b_frames=2),
    'h264.mp4': H264,
    'h264_no_b.mkv': dict(codec='libx264'),
    'h264.ts': H264,
    'variable.mp4': dict(H264, variable_rate=True),
    'variable.mkv': dict(H264, variable_rate=True),
    'rotated.mp4': H264,
    'odd_width.avi': dict(size=(91, 64), b_frames=2),
    'mpeg1.mpg': dict(codec='mpeg1video', b_frames=2),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('seek')
    for name, options in VIDEOS.items():
        options = {'size': (90, 64), 'key_frame_every': 12, **options}
        encode_video(str(folder / name), num_frames=NUM_FRAMES, **options)
    rotate(folder / 'rotated.mp4')
    return folder


@pytest.fixture
def video(folder, tmp_path):
    return shutil.copy(folder / 'variable.mp4', tmp_path)


def frames(path, wanted, points=()):
    """Numbers and copies of the frames."""
    found = read_frames(str(path), np.asarray(wanted), points)
    return {number: frame.copy() for number, frame in found}


def assert_clips_are_right(path, points, num_frames=NUM_FRAMES):
    whole = frames(path, range(num_frames))
    for start in range(0, num_frames - 16, 5):
        wanted = range(start, start + 16, 3)
        clip = frames(path, wanted, points)
        assert list(clip) == list(wanted)
        for number in wanted:
            assert np.array_equal(clip[number], whole[number]), number


@pytest.fixture
def grabs(monkeypatch):
    """Counts the frames that are decoded by reading on."""
    counts = [0]

    class Counting:
        def __init__(self, *args):
            self._capture = original(*args)

        def grab(self):
            counts[0] += 1
            return self._capture.grab()

        def __getattr__(self, name):
            return getattr(self._capture, name)

    original = cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', Counting)
    return counts


@pytest.mark.parametrize('name', VIDEOS)
@pytest.mark.filterwarnings('error:.*a seek does not land')
def test_clips_are_those_of_reading_on(folder, name, grabs):
    points = find_seek_points(str(folder / name))
    numbers = [point.frame for point in points]
    assert len(numbers) >= 3
    assert numbers == sorted(set(numbers))
    assert_clips_are_right(folder / name, points)
    grabs[0] = 0
    frames(folder / name, range(220, 236), points)
    assert grabs[0] < 16 + 220 - numbers[-1] + 2


def test_gaps_between_clips_are_sought_too(folder, grabs):
    path = folder / 'h264.mp4'
    wanted = [0, 1, 2, 90, 91, 92, 120, 200, 230]
    points = find_seek_points(str(path))
    whole = frames(path, range(NUM_FRAMES))
    grabs[0] = 0
    found = frames(path, wanted, points)
    assert grabs[0] < 130
    assert list(found) == wanted
    assert all(np.array_equal(found[n], whole[n]) for n in wanted)


@pytest.mark.parametrize(
    ('params', 'are_right'),
    [
        ('keyint=24:open-gop=1:bframes=3', True),
        ('keyint=24:intra-refresh=1', True),
        # Here frames long after a "key frame" still lack their past.
        ('keyint=60:intra-refresh=1', False),
    ],
)
def test_key_frames_that_others_reach_over(tmp_path, params, are_right):
    path = str(tmp_path / 'video.mp4')
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (20, 60, 3)).astype(np.uint8)
    texture = cv2.resize(texture, (600, 200))
    with av.open(path, 'w') as container:
        stream = container.add_stream(
            'libx264',
            rate=25,
            options={'x264-params': f'scenecut=0:{params}'},
        )
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        stream.codec_context.thread_count = 1
        for number in range(NUM_FRAMES):
            top = number // 4
            image = texture[top : top + 64, number : number + 96]
            frame = av.VideoFrame.from_ndarray(image.copy(), 'bgr24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert len(seek_points._requests(*seek_points._key_packets(path))) >= 3
    points = find_seek_points(path)
    assert bool(points) == are_right
    assert_clips_are_right(path, points)


def test_frames_that_look_alike_are_told_apart_by_time(tmp_path):
    path = str(tmp_path / 'still.mp4')
    with av.open(path, 'w') as container:
        stream = container.add_stream('mpeg4', rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        stream.gop_size = 12
        stream.codec_context.time_base = Fraction(1, 25)
        for number in range(NUM_FRAMES):
            # Still, but for one frame in a while.
            value = 200 if number % 80 == 79 else 40
            image = np.full((64, 96, 3), value, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, 'bgr24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    points = find_seek_points(path)
    assert points
    assert_clips_are_right(path, points)


@pytest.mark.parametrize(
    ('options', 'why'),
    [
        (dict(num_frames=240, key_frame_every=250), 'one key frame'),
        (dict(num_frames=90, key_frame_every=12), 'short'),
        (dict(size=(90, 65), key_frame_every=12), 'read by decord'),
    ],
)
def test_nothing_is_sought_where_it_does_not_pay(tmp_path, options, why):
    path = str(tmp_path / 'video.avi')
    encode_video(path, **{'size': (90, 64), 'num_frames': 240, **options})
    assert find_seek_points(path) == [], why


def test_what_is_no_video_has_no_places(tmp_path):
    (tmp_path / 'text').write_text('no video')
    assert find_seek_points(str(tmp_path / 'text')) == []


def test_requests_are_behind_key_frames_and_apart():
    keys = range(0, 1000, 30)
    requests = seek_points._requests(keys, 1000)
    assert {(r - OPENCV_GOES_BACK) % 30 for r in requests} == {0}
    assert np.diff([0, *requests]).min() >= SPACING
    assert seek_points._requests([], 0) == []
    assert seek_points._requests([0], 1000) == []
    # A late place helps few clips.
    assert seek_points._requests([0, 900], 1000) == []


def test_a_search_that_takes_too_long_is_given_up(video):
    assert find_seek_points(video, seconds=-1) == []
    assert find_seek_points(video)


def test_one_wrong_landing_spoils_the_video(video, monkeypatch):
    assert find_seek_points(video)
    original = seek_points.checksum
    made = []

    def wrong_once(capture):
        # Each place takes two.
        made.append(original(capture))
        return made[-1] + (len(made) == 4)

    monkeypatch.setattr(seek_points, 'checksum', wrong_once)
    assert find_seek_points(video) == []


@pytest.mark.filterwarnings('error:.*a seek does not land')
def test_damaged_videos(folder, tmp_path):
    # Often a seek lands well, the next, too, and frames between are others.
    video = tmp_path / 'damaged.mp4'
    refused = []
    for seed in range(12):
        data = bytearray((folder / 'h264.mp4').read_bytes())
        rng = np.random.default_rng(seed)
        places = rng.integers(len(data) // 8, len(data) * 3 // 4, 6)
        for place in places.tolist():
            data[place] ^= 1 << int(rng.integers(8))
        video.write_bytes(data)
        try:
            frames(video, range(NUM_FRAMES))
        except ValueError:
            continue  # nobody can read it
        points = find_seek_points(str(video))
        refused.append(not points)
        assert_clips_are_right(video, points)
    assert any(refused)


@pytest.mark.parametrize('where', ['nowhere', 'back', 'same', 'between'])
def test_places_that_cannot_be_reached_are_left_out(video, monkeypatch, where):
    right = find_seek_points(video)
    assert len(right) >= 4
    original = seek_points.land

    def land(capture, request):
        landed = original(capture, request)
        others = dict(
            nowhere=None,
            back=(1.0, 0),
            same=right[0][2:],
            between=(landed[0] + 0.5, landed[1]),
        )
        return others[where] if request == right[1].request else landed

    monkeypatch.setattr(seek_points, 'land', land)
    assert find_seek_points(video) == [right[0], *right[2:]]


def test_times_that_come_twice_are_not_used(video, monkeypatch):
    right = find_seek_points(video)

    class Capture:
        """Of a video whose last frame has the time of another, as in AVI."""

        def __init__(self, path):
            self._capture = original(path)
            self._last = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)

        def get(self, name):
            at = self._capture.get(cv2.CAP_PROP_POS_FRAMES)
            if name == cv2.CAP_PROP_POS_MSEC and at == self._last:
                return right[1].msec
            return self._capture.get(name)

        def __getattr__(self, name):
            return getattr(self._capture, name)

    original = seek_points.open_video
    monkeypatch.setattr(seek_points, 'open_video', Capture)
    assert find_seek_points(video) == [right[0], *right[2:]]


@pytest.mark.parametrize('wrong', ['crc', 'msec', 'request'])
def test_a_seek_that_went_wrong_is_noticed(video, wrong):
    points = find_seek_points(video)
    spoilt = [p._replace(**{wrong: getattr(p, wrong) - 30}) for p in points]
    whole = frames(video, range(NUM_FRAMES))
    wanted = [0, 1, 150, 151, 230]
    with pytest.warns(
        UserWarning, match=r'variable.mp4: a seek does not land'
    ):
        found = frames(video, wanted, spoilt)
    assert list(found) == wanted
    assert all(np.array_equal(found[n], whole[n]) for n in wanted)


def test_seeking_has_to_be_cheaper():
    points = [SeekPoint(frame, frame, 0.0, 0) for frame in (50, 100, 150)]
    cheaper = frame_source._cheaper
    assert cheaper(points, 0, 49) is None
    assert cheaper(points, 0, 50) == points[0]
    assert cheaper(points, 0, 149) == points[1]
    assert cheaper(points, 0, 1000) == points[2]
    assert cheaper(points, 100 - SEEK_COST, 130) is None
    assert cheaper(points, 99 - SEEK_COST, 130) == points[1]
    assert cheaper(points, 151, 1000) is None
    assert cheaper((), 0, 1000) is None


# ------------------------------------------------------------------ the index


def test_places_are_kept_in_the_index(folder, tmp_path, monkeypatch):
    videos = [str(folder / 'variable.mp4'), str(folder / 'xvid.avi')]
    short = write_video(str(tmp_path / 'short.avi'), 9)
    path = str(tmp_path / 'index')
    index = load_or_build([*videos, short], path, seek=True)
    assert index[short].seek_points == []
    for video in videos:
        assert index[video].seek_points == find_seek_points(video)
    # Read again, with and without need of them.
    monkeypatch.setattr(frame_index, 'count_frames', None)
    for seek in (True, False):
        again = load_or_build([*videos, short], path, seek=seek)
        assert again[videos[0]] == index[videos[0]]
        assert isinstance(again[videos[0]].seek_points[0], SeekPoint)


def test_an_index_without_places_is_completed(folder, tmp_path):
    video, other = str(folder / 'xvid.avi'), str(folder / 'h264.mp4')
    bad = str(tmp_path / 'bad.avi')
    Path(bad).write_text('no video')
    path = str(tmp_path / 'index')
    index = load_or_build([video, other, bad], path)
    assert index[video].seek_points is None
    assert FrameIndex(path).missing([video, bad]) == []
    assert FrameIndex(path, seek=True).missing([video, bad]) == [video]
    index = load_or_build([video, bad], path, seek=True)
    assert index[video].frames == NUM_FRAMES
    assert index[video].seek_points
    # Of the video that nobody wanted nothing got lost.
    assert index[other].frames == NUM_FRAMES
    assert index[other].seek_points is None


def test_only_the_search_is_made_up_for(folder, tmp_path, monkeypatch):
    video = str(folder / 'xvid.avi')
    path = str(tmp_path / 'index')
    load_or_build([video], path)
    monkeypatch.setattr(frame_index, 'count_frames', None)
    assert load_or_build([video], path, seek=True)[video].seek_points


class Crashing(frame_index._Prober):
    """Stands in for a decoder that crashes in a search, or hangs."""

    signal = signal.SIGSEGV

    def ask(self, question, video, seconds):
        super().ask(question, video, seconds)
        if question == 'seek':
            os.kill(self.process.pid, self.signal)


class Hanging(Crashing):
    signal = signal.SIGSTOP


@pytest.mark.parametrize('prober', [Crashing, Hanging])
def test_a_search_that_fails_costs_no_video(
    folder, tmp_path, monkeypatch, prober
):
    videos = [str(folder / name) for name in ('xvid.avi', 'h264.mp4')]
    path = str(tmp_path / 'index')
    original = frame_index.seek_points_of
    monkeypatch.setattr(
        frame_index,
        'seek_points_of',
        lambda todo: original(todo, 1, 0.5, prober),
    )
    said = []
    monkeypatch.setattr(
        frame_index, 'print_log', lambda text, *_, **__: said.append(text)
    )
    index = load_or_build(videos, path, seek=True)
    for video in videos:
        assert index[video].frames == NUM_FRAMES
        assert index[video].seek_points == []
        assert any(f'{video} will not be sought: the' in x for x in said)
    # It is not tried again.
    assert FrameIndex(path, seek=True).missing(videos) == []


def test_the_search_may_take_its_time():
    assert frame_index.SECONDS_TO_SEEK > seek_points.SECONDS_TO_SEARCH


def test_other_storage_is_not_sought(folder, tmp_path):
    video = str(folder / 'xvid.avi')

    class Storage:
        counts_frames = True

        def __call__(self, results):
            return dict(results, total_frames=NUM_FRAMES)

    data = dataset(folder, seek=True, first=Storage())
    assert set(data.clip_counts) == {NUM_FRAMES // 8}
    assert 'seek_points' not in data.get_data_info(0)
    index = FrameIndex(data.frame_index, str(folder))
    assert index[video].seek_points is None


# --------------------------------------------------------------- the pipeline


def dataset(folder, kind='VideoClipDataset', first=None, **reading):
    ann_file = folder / 'list.txt'
    ann_file.write_text(''.join(f'{name} 1\n' for name in VIDEOS))
    crop = dict(type='RandomCrop', size=40)
    index = {}
    if first:
        index['frame_index'] = str(folder / 'other_index')
    return DATASETS.build(
        dict(
            type=f'mmaction.{kind}',
            ann_file=str(ann_file),
            data_prefix=dict(video=str(folder)),
            **index,
            pipeline=[
                first or dict(type='VideoReaderInit'),
                dict(type='SampleVideoClips', clip_len=8),
                dict(
                    type='ReadVideoClips',
                    transforms=[dict(type='Resize', scale=(-1, 48)), crop],
                    **reading,
                ),
                dict(type='FormatShape', input_format='NCTHW'),
                dict(type='PackActionInputs'),
            ],
        )
    )


@pytest.mark.filterwarnings('error:.*a seek does not land')
@pytest.mark.parametrize('cache', [None, 1e-6])
def test_training_clips_are_the_same(folder, tmp_path, grabs, cache):
    if cache:  # too small for any video
        cache = dict(folder=str(tmp_path), max_gb=cache)
    with_seeks = dataset(folder, seek=True, cache=cache)
    without = dataset(folder)
    assert isinstance(with_seeks, VideoClipDataset)
    counts = []
    for data in (with_seeks, without):
        ends = np.cumsum(data.clip_counts)
        batch = ClipBatch([0, *(ends - 1), *(ends - 9)], key=(1, 2))
        grabs[0] = 0
        counts.append(
            [sample['inputs'] for sample in data.__getitems__(batch)]
        )
        counts.append(grabs[0])
    one, decoded, other, all_decoded = counts
    assert all(np.array_equal(a, b) for a, b in zip(one, other))
    assert decoded < 0.7 * all_decoded


def test_stock_datasets_know_no_places(folder):
    data = dataset(folder, kind='VideoDataset', seek=True)
    assert len(data[0]['inputs']) == NUM_FRAMES // 8
    assert 'seek=True' in repr(data.pipeline)

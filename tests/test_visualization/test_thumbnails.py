"""Strips of thumbnails of real videos, and what has none."""

import os
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from clip_results import make_results
from video_files import read_video, write_video

from vll_mmaction.visualization import thumbnails
from vll_mmaction.visualization.thumbnails import (
    clip_frames,
    find_videos,
    make_strips,
    remove_others,
)


@pytest.fixture
def results():
    """Two clips of three frames; one clip of two; unknown frames."""
    return make_results(
        np.split(np.full((4, 2), 0.5), [2, 3]),
        [0, 0, 0],
        [[0, 1, 2, 10, 11, 12], [5, 6], []],
    )


def test_clip_frames(results):
    assert clip_frames(results, 0).tolist() == [1, 11]
    assert clip_frames(results, 1).tolist() == [6]
    assert clip_frames(results, 2) is None
    # Two views of one clip of six frames.
    views = replace(results, views_per_clip=np.array([2, 1, 1]))
    assert clip_frames(views, 0).tolist() == [10]


def test_find_videos(tmp_path):
    names = ['/data/set/x/1.avi', '/data/set/y/1.avi', '']
    assert find_videos(names) == names
    names = names[:2]
    root = str(tmp_path)
    moved = [os.path.join(root, *x) for x in (('x', '1.avi'), ('y', '1.avi'))]
    assert find_videos(names, root) == moved
    # Relative paths, and one video.
    relative = ['../set/x/1.avi', '../set/y/1.avi']
    assert find_videos(relative, root) == moved
    assert find_videos(names[:1], root) == [os.path.join(root, '1.avi')]


def strip_of(path, frames, folder, **kwargs):
    (strip,) = make_strips(
        [str(path)], [str(path)], [np.array(frames)], folder, **kwargs
    )
    return strip


def test_strip_shows_the_frames(tmp_path):
    path = write_video(tmp_path / 'v.avi', 60)
    frames = list(range(0, 50, 2))  # 25, in two rows
    strip = strip_of(path, frames, tmp_path / 'thumbs')
    assert strip.reason == ''
    picture = cv2.imread(str(tmp_path / 'thumbs' / strip.name))
    assert picture.shape == (2 * 96, 20 * 128, 3)
    video = read_video(path)
    for place, number in enumerate(frames):
        row, column = divmod(place, 20)
        tile = picture[
            96 * row : 96 * row + 96, 128 * column : 128 * column + 128
        ]
        own, next_one = (
            np.abs(cv2.resize(frame[:, :, ::-1], (128, 96)) - tile.astype(int))
            for frame in video[number : number + 2]
        )
        assert own.mean() < 20 < next_one.mean()


def test_strips_are_used_again_if_up_to_date(tmp_path):
    path = write_video(tmp_path / 'v.avi', 10)
    folder = tmp_path / 'thumbs'
    first = strip_of(path, [2, 7], folder)
    made = (folder / first.name).stat().st_mtime_ns
    assert strip_of(path, [2, 7], folder) == first
    assert (folder / first.name).stat().st_mtime_ns == made
    other_frames = strip_of(path, [2, 8], folder)
    write_video(path, 10, seed=1)
    other_file = strip_of(path, [2, 7], folder)
    names = {first.name, other_frames.name, other_file.name}
    assert len(names) == 3
    (folder / 'mine.jpg').touch()
    (folder / f'{first.name}.tmp').touch()
    remove_others(folder, [other_file])
    left = {x.name for x in folder.iterdir()}
    assert left == {other_file.name, 'mine.jpg'}


def test_bad_videos_have_reasons(tmp_path):
    good = write_video(tmp_path / 'good.avi', 10)
    (tmp_path / 'bad.avi').write_text('no video')
    paths = [good, tmp_path / 'bad.avi', tmp_path / 'gone.avi', good, good, '']
    paths = [str(x) for x in paths]
    frames = [np.array([1])] * 6
    frames[3], frames[4] = np.array([3, 99]), None
    strips = make_strips(paths, paths, frames, tmp_path / 'thumbs')
    reasons = [strip.reason for strip in strips]
    assert reasons[0] == ''
    assert 'bad.avi: it cannot be opened' in reasons[1]
    assert reasons[2] == 'there is no such file'
    assert 'frame 99 was asked for' in reasons[3]
    assert reasons[4] == 'the results hold no frame numbers'
    assert reasons[5] == 'the results hold no file names'
    assert len(list((tmp_path / 'thumbs').iterdir())) == 1


def test_folder_of_images(tmp_path):
    folder = tmp_path / 'frames'
    folder.mkdir()
    for number in range(1, 6):
        image = np.full((48, 32, 3), 40 * number, np.uint8)
        cv2.imwrite(str(folder / f'img_{number:05}.png'), image)
        cv2.imwrite(str(folder / f'flow_x_{number:05}.jpg'), 255 - image)
    strip = strip_of(folder, [2, 5], tmp_path / 'thumbs')
    picture = cv2.imread(str(tmp_path / 'thumbs' / strip.name))
    assert picture.shape == (96, 256, 3)
    # Upright: in the middle of its tile.
    assert picture[:, :28].mean() < 2
    assert abs(picture[:, 36:92].mean() - 80) < 2
    assert abs(picture[:, 164:220].mean() - 200) < 2
    strip = strip_of(folder, [2, 6], tmp_path / 'thumbs')
    assert strip.reason == 'it has no image of frame 6'


WORKER = """
import faulthandler, json, os, signal, sys, time
for line in sys.stdin:
    faulthandler.dump_traceback_later(float(sys.argv[1]), exit=True)
    video = os.path.basename(json.loads(line)[0])
    if 'crash' in video:
        os.kill(os.getpid(), signal.SIGSEGV)
    if 'hang' in video:
        time.sleep(60)
    print(json.dumps('done ' + video), flush=True)
"""


def test_decoders_that_crash_or_hang(tmp_path, monkeypatch):
    worker = tmp_path / 'worker.py'
    worker.write_text(WORKER)
    monkeypatch.setattr(thumbnails, 'WORKER', str(worker))
    paths = [str(tmp_path / x) for x in ('1', 'crash', '2', 'hang', '3')]
    for path in paths:
        open(path, 'w').close()
    started = time.monotonic()
    strips = make_strips(
        *(paths, paths, [np.array([0])] * 5, tmp_path / 'thumbs'),
        num_workers=1,
        seconds=3,
    )
    assert [strip.reason for strip in strips] == [
        'done 1',
        'the decoder crashed on it (signal 11)',
        'done 2',
        'the decoder hung on it (3 s)',
        'done 3',
    ]
    assert time.monotonic() - started < 30

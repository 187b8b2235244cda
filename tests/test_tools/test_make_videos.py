"""Tests of the generator of the quickstart's videos."""

import csv
import shutil
from pathlib import Path
from unittest import mock

import cv2
import make_videos
import numpy as np
import pytest

CLASSES = make_videos.CLASSES
NUM_TRAIN, NUM_TEST = 13, 5


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp('made') / 'set'
    assert make_videos.make_videos(out, NUM_TRAIN, NUM_TEST)
    return out


@pytest.fixture
def small(tmp_path):
    """A set of two videos, to be spoilt."""
    out = tmp_path / 'set'
    assert make_videos.make_videos(out, 1, 1)
    return out


def _read_list(path):
    pairs = (line.rsplit(' ', 1) for line in path.read_text().splitlines())
    return [(name, int(label)) for name, label in pairs]


def _read_video(path):
    reader = cv2.VideoCapture(str(path))
    frames = []
    while True:
        ok, frame = reader.read()
        if not ok:
            return np.stack(frames)
        frames.append(frame)


def _plans(num_train=NUM_TRAIN, num_test=NUM_TEST, **kwargs):
    return make_videos.plan_videos(
        'train', num_train, **kwargs
    ) + make_videos.plan_videos('test', num_test, **kwargs)


def test_lists(made):
    plans = _plans()
    listed = _read_list(made / 'train.txt') + _read_list(made / 'test.txt')
    assert listed == [(p.path, p.label) for p in plans]
    names = (made / 'classes.txt').read_text().split()
    assert names == list(CLASSES)
    for path, label in listed:
        assert Path(path).name.startswith(f'{names[label]}_')


def test_labels_are_balanced():
    labels = [p.label for p in make_videos.plan_videos('train', 208)]
    assert np.bincount(labels).tolist() == [26] * 8


def test_lengths():
    plans = make_videos.plan_videos('train', 104)
    frames = np.array([p.num_frames for p in plans])
    clips = np.maximum(1, frames // 16)
    assert [len(p.shown) for p in plans] == clips.tolist()
    assert set(clips) == set(range(1, 13))
    assert 0 < (frames < 16).sum() < 0.15 * len(frames)
    assert frames.min() >= 8


@pytest.mark.parametrize('split', ['train', 'test'])
def test_distractors_are_a_minority(split):
    plans = make_videos.plan_videos(split, 208)
    for plan in plans:
        assert 2 * len(plan.distractors) < len(plan.shown)
    share = sum(len(p.distractors) for p in plans) / sum(
        len(p.shown) for p in plans
    )
    assert 0.25 < share < 0.3


def test_degrees_of_ambiguity():
    share = {}
    for degree in (*make_videos.AMBIGUITIES, 0.0, 0.45, 0.73):
        plans = make_videos.plan_videos('test', 416, ambiguity=degree)
        shown = [m for plan in plans for m in plan.shown]
        wrong = sum(len(plan.distractors) for plan in plans)
        share[degree] = wrong / len(shown)
        for plan in plans:
            motions = [m for m in plan.shown if m != make_videos.STILL]
            counts = np.bincount(motions, minlength=len(CLASSES))
            assert counts.argmax() == plan.label
            assert np.sum(counts == counts.max()) == 1
    assert share['none'] == 0
    assert 0.25 < share['some'] < 0.3
    assert 0.55 < share['most'] < 0.6
    assert share[0.0] == 0
    assert 0.42 < share[0.45] < 0.45
    assert 0.69 < share[0.73] < 0.72


def test_segments_file_tells_what_is_shown(made):
    with open(made / 'segments.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    for plan in _plans():
        own = [row for row in rows if row['video'] == plan.path]
        assert [int(row['segment']) for row in own] == list(range(len(own)))
        shown = [(*CLASSES, 'still')[m] for m in plan.shown]
        assert [row['shown'] for row in own] == shown
        distractors = [i for i, r in enumerate(own) if r['distractor'] == '1']
        assert distractors == plan.distractors
        ends = [int(row['end']) for row in own]
        assert [int(row['start']) for row in own] == [0, *ends[:-1]]
        assert ends[-1] == plan.num_frames
    assert len(rows) == sum(len(p.shown) for p in _plans())


def test_decord_and_opencv_find_every_frame(made):
    decord = pytest.importorskip('decord')
    for plan in _plans():
        by_decord = decord.VideoReader(str(made / plan.path), num_threads=1)
        assert len(by_decord) == plan.num_frames
        frames = by_decord.get_batch(range(plan.num_frames)).asnumpy()
        by_opencv = _read_video(made / plan.path)
        np.testing.assert_array_equal(frames[..., ::-1], by_opencv)


def test_encoding_keeps_the_picture(made):
    plan = _plans()[0]
    drawn = np.stack(list(make_videos.render_video(plan))).astype(float)
    assert drawn.shape == (plan.num_frames, 48, 64, 3)
    assert np.abs(drawn - _read_video(made / plan.path)).mean() < 12


def test_frames_follow_from_the_seed():
    for plan, again in zip(_plans(2, 1), _plans(2, 1)):
        assert plan == again
        for a, b in zip(
            make_videos.render_video(plan), make_videos.render_video(again)
        ):
            np.testing.assert_array_equal(a, b)
    first = [next(make_videos.render_video(p)) for p in _plans(2, 1)]
    other = [next(make_videos.render_video(p)) for p in _plans(2, 1, seed=1)]
    for i, a in enumerate(first):
        for b in other + first[:i]:
            assert np.abs(a.astype(float) - b).mean() > 10


def _flow(plan):
    """Return the mean shift right and down, turn and growth of a video."""
    frames = [
        cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        for frame in make_videos.render_video(plan)
    ]
    x, y = np.meshgrid(np.arange(64) - 31.5, np.arange(48) - 23.5)
    radius = np.hypot(x, y).mean()
    total = np.zeros(4)
    for pair in zip(frames, frames[1:]):
        u, v = np.moveaxis(
            cv2.calcOpticalFlowFarneback(
                *pair, None, 0.5, 3, 11, 3, 5, 1.1, 0
            ),
            -1,
            0,
        )
        turn, growth = (x * v - y * u) / radius, (x * u + y * v) / radius
        total += [flow.mean() for flow in (u, v, turn, growth)]
    return total


@pytest.mark.parametrize('label', range(8))
def test_motion_is_what_the_class_says(label):
    names = [('left', 'right'), ('up', 'down')]
    names += [('counterclockwise', 'clockwise'), ('shrinking', 'growing')]
    total = np.zeros(4)
    for seed in range(4):
        plan = make_videos.VideoPlan('', label, 16, (label,), (seed,))
        total += _flow(plan)
    strongest = int(np.abs(total).argmax())
    assert names[strongest][int(total[strongest] > 0)] == CLASSES[label]


def test_nothing_moves_in_a_still_segment():
    plan = make_videos.VideoPlan('', 0, 16, (make_videos.STILL,), (0,))
    frames = list(make_videos.render_video(plan))
    assert all((frame == frames[0]).all() for frame in frames)


def test_colour_of_a_frame_does_not_tell_the_class():
    def early_frames(split, number):
        plans = make_videos.plan_videos(split, number)
        features = []
        for plan in plans:
            frames = make_videos.render_video(plan)
            for _ in range(4):
                frame = next(frames)
            mean, std = frame.mean((0, 1)), frame.std((0, 1))
            features.append(np.concatenate([mean, std]))
        return np.stack(features), np.array([p.label for p in plans])

    known, labels = early_frames('train', 160)
    asked, truth = early_frames('test', 160)
    means = np.stack([known[labels == k].mean(0) for k in range(8)])
    distance = np.linalg.norm(asked[:, None] - means, axis=-1)
    # 8 classes: 0.125 by chance, standard deviation 0.026
    assert (distance.argmin(1) == truth).mean() < 0.2


def test_complete_set_is_kept_also_elsewhere(small, tmp_path):
    moved = shutil.move(small, tmp_path / 'moved')
    before = {p: p.stat().st_mtime_ns for p in moved.rglob('*')}
    assert not make_videos.make_videos(moved, 1, 1)
    assert {p: p.stat().st_mtime_ns for p in moved.rglob('*')} == before


@pytest.mark.parametrize(
    'change', [dict(num_train=2), dict(seed=1), dict(codec='mp4v')]
)
def test_other_parameters_rebuild(small, change):
    (small / 'notes.md').write_text('mine')
    old = (small / 'train.txt').read_text()
    parameters = dict(num_train=1, num_test=1, seed=0, codec='XVID')
    parameters.update(change)
    assert make_videos.make_videos(small, **parameters)
    listed = _read_list(small / 'train.txt') + _read_list(small / 'test.txt')
    files = [p.relative_to(small).as_posix() for p in small.glob('t*/*')]
    assert sorted(files) == sorted(name for name, _ in listed)
    assert (small / 'notes.md').read_text() == 'mine'
    if 'seed' not in change:
        assert old != (small / 'train.txt').read_text()
    assert not make_videos.make_videos(small, **parameters)


@pytest.mark.parametrize('harm', ['truncated', 'removed', 'no list'])
def test_spoilt_set_is_rebuilt(small, harm):
    video = small / _read_list(small / 'test.txt')[0][0]
    size = video.stat().st_size
    if harm == 'truncated':
        video.write_bytes(video.read_bytes()[:100])
    elif harm == 'removed':
        video.unlink()
    else:
        (small / 'train.txt').unlink()
    assert make_videos.make_videos(small, 1, 1)
    assert video.stat().st_size == size
    assert (small / 'train.txt').exists()


@pytest.mark.parametrize('moment', ['write_video', '_write_lists'])
def test_interrupted_run_is_redone(small, monkeypatch, moment):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(make_videos, moment, stop)
        with pytest.raises(KeyboardInterrupt):
            make_videos.make_videos(small, 2, 1)
    assert not (small / 'train.txt').exists()
    assert make_videos.make_videos(small, 2, 1)
    assert not make_videos.make_videos(small, 2, 1)


def test_folder_with_other_files_is_refused(tmp_path, capsys):
    (tmp_path / 'train').mkdir()
    with pytest.raises(SystemExit, match='not empty.*first entry: train'):
        make_videos.main([str(tmp_path)])
    assert [p.name for p in tmp_path.iterdir()] == ['train']


def test_unwritable_folder_is_reported(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(SystemExit, match="can't write to .*file/set"):
        make_videos.main([str(tmp_path / 'file' / 'set')])


def test_missing_encoder_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, 'VideoWriter', mock.Mock())
    cv2.VideoWriter().isOpened.return_value = False
    with pytest.raises(SystemExit, match='no encoder XVID.*--codec mp4v or'):
        make_videos.main([str(tmp_path / 'set')])


def test_lost_frames_are_reported(tmp_path):
    frames = [np.zeros((48, 64, 3), np.uint8)] * 5
    path = tmp_path / 'a.avi'
    with pytest.raises(make_videos.VideoSetError, match='5 frames.*6'):
        make_videos.write_video(path, frames, 6)


@pytest.mark.parametrize('codec', make_videos.CODECS)
def test_codecs(tmp_path, codec):
    frames = [np.full((48, 64, 3), 9 * i, np.uint8) for i in range(17)]
    path = tmp_path / f'a{make_videos.CODECS[codec]}'
    make_videos.write_video(path, frames, 17, codec)
    assert len(_read_video(path)) == 17


def test_command_line(tmp_path, capsys):
    out = tmp_path / 'a folder'
    args = [str(out), '--videos', '2', '--test-videos', '1', '--seed', '3']
    make_videos.main(args)
    assert '2 + 1 videos in' in capsys.readouterr().out
    make_videos.main(args)
    assert 'complete' in capsys.readouterr().out
    for option, value, message in (
        ('--videos', '0', 'not at least 1'),
        ('--seed', '-1', 'not at least 0'),
        ('--ambiguity', '1.5', '1.5 is not from 0 to below 1'),
    ):
        with pytest.raises(SystemExit):
            make_videos.main([str(out), option, value])
        assert message in capsys.readouterr().err

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmaction.registry import TRANSFORMS

import vll_mmaction  # noqa: F401
from vll_mmaction.datasets import ClipSampling


def slow_frame_inds(n, clip_len, interval, stride, short):
    """Clip by clip, frame by frame, as the rule is told."""
    clips, start = [], 0
    while start + (clip_len - 1) * interval < n:
        clips.append([start + k * interval for k in range(clip_len)])
        start += stride
    if not clips:
        frames = [k * interval for k in range(clip_len)]
        loop = [f % n for f in frames]
        last = [min(f, n - 1) for f in frames]
        clips = [loop if short == 'loop' else last]
    return clips


@pytest.mark.parametrize('short', ['loop', 'repeat_last'])
@pytest.mark.parametrize('stride', [None, 1, 5, 40])
@pytest.mark.parametrize('interval', [1, 2, 3])
@pytest.mark.parametrize('clip_len', [1, 4, 16])
def test_frames_and_count_follow_the_rule(clip_len, interval, stride, short):
    sampling = ClipSampling(
        clip_len=clip_len,
        frame_interval=interval,
        clip_stride=stride,
        short=short,
    )
    for n in range(1, 100):
        wanted = slow_frame_inds(
            n, clip_len, interval, stride or clip_len * interval, short
        )
        assert sampling.frame_inds(n).tolist() == wanted
        assert sampling.count(n) == len(wanted)


def test_defaults_give_floor_of_a_sixteenth():
    n = np.arange(1, 2000)
    wanted = np.maximum(1, n // 16)
    np.testing.assert_array_equal(ClipSampling().count(n), wanted)


def test_keep_first_and_uniform():
    first = ClipSampling(max_clips=3).frame_inds(160)[:, 0]
    assert first.tolist() == [0, 16, 32]
    uniform = ClipSampling(max_clips=3, keep='uniform').frame_inds(160)[:, 0]
    assert (uniform // 16).tolist() == [1, 5, 8]
    few = ClipSampling(max_clips=20, keep='uniform').frame_inds(160)[:, 0]
    assert (few // 16).tolist() == list(range(10))


def test_keep_random_is_a_function_of_the_generator():
    sampling = ClipSampling(max_clips=4, keep='random')

    def starts(seed, clip_ids=None):
        rng = np.random.default_rng(seed)
        return (sampling.frame_inds(1600, clip_ids, rng)[:, 0] // 16).tolist()

    assert starts(1) == starts(1) == sorted(starts(1))
    assert len(set(starts(1))) == 4
    assert starts(1, [2, 0]) == [starts(1)[2], starts(1)[0]]
    assert len({tuple(starts(seed)) for seed in range(20)}) > 10
    with pytest.raises(ValueError, match='random generator'):
        sampling.frame_inds(1600)


def test_only_the_clips_asked_for():
    sampling = ClipSampling(clip_len=4)
    assert sampling.frame_inds(20, [3, 1])[:, 0].tolist() == [12, 4]
    with pytest.raises(IndexError, match='clips 0 to 4'):
        sampling.frame_inds(20, [5])


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(clip_len=0), 'clip_len must be at least 1, got 0'),
        (dict(clip_len=2.5), 'clip_len must be a positive int, got 2.5'),
        (dict(frame_interval=-1), 'frame_interval must be at least 1'),
        (dict(clip_stride=0), 'clip_stride must be at least 1'),
        (dict(max_clips='all'), "max_clips .* or None, got 'all'"),
        (dict(keep='last'), "keep must be one of .*'uniform'.* got 'last'"),
        (dict(short='pad'), "short must be one of .*'loop'.* got 'pad'"),
    ],
)
def test_bad_options_are_named(kwargs, message):
    with pytest.raises((TypeError, ValueError), match=message):
        TRANSFORMS.build(dict(type='SampleVideoClips', **kwargs))


def test_transform_sets_the_keys_of_stock():
    transform = TRANSFORMS.build(dict(type='SampleVideoClips', clip_len=4))
    results = transform(dict(total_frames=11, start_index=1))
    assert results['frame_inds'].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert results['clip_len'] == 4
    assert results['frame_interval'] == 1
    assert results['num_clips'] == 2
    some = transform(dict(total_frames=11, clip_ids=[1]))
    assert some['frame_inds'].tolist() == [4, 5, 6, 7]
    with pytest.raises(ValueError, match='a.avi has no frames'):
        transform(dict(total_frames=0, filename='a.avi'))


# --- properties of any rule -----------------------------

RULES = st.builds(
    ClipSampling,
    clip_len=st.integers(1, 9),
    frame_interval=st.integers(1, 4),
    clip_stride=st.none() | st.integers(1, 30),
    max_clips=st.none() | st.integers(1, 6),
    keep=st.sampled_from(['first', 'uniform', 'random']),
    short=st.sampled_from(['loop', 'repeat_last']),
)
LENGTHS = st.integers(1, 200)


def all_inds(rule, n, clip_ids=None):
    return rule.frame_inds(n, clip_ids, np.random.default_rng(3))


@given(RULES, LENGTHS)
def test_index_and_frames_agree_for_any_rule(rule, n):
    inds = all_inds(rule, n)
    assert inds.shape == (rule.count(n), rule.clip_len)
    assert inds.dtype == np.int64
    assert 0 <= inds.min() <= inds.max() < n
    if n >= rule.span:
        assert (np.diff(inds, axis=1) == rule.frame_interval).all()
        assert (np.diff(inds[:, 0]) > 0).all()


@given(RULES, st.lists(LENGTHS, min_size=1, max_size=20))
def test_longer_videos_have_no_fewer_clips(rule, lengths):
    counts = rule.count(np.array(lengths))
    assert counts.tolist() == [rule.count(n) for n in lengths]
    assert (np.diff(rule.count(np.sort(lengths))) >= 0).all()


@given(RULES, LENGTHS, st.randoms())
def test_clips_do_not_depend_on_which_others_are_asked_for(rule, n, random):
    inds = all_inds(rule, n)
    chosen = random.choices(range(len(inds)), k=4)
    np.testing.assert_array_equal(all_inds(rule, n, chosen), inds[chosen])


@given(RULES, LENGTHS)
def test_kept_clips_are_some_of_all(rule, n):
    everything = dataclasses.replace(rule, max_clips=None)
    starts = all_inds(rule, n)[:, 0].tolist()
    assert set(starts) <= set(all_inds(everything, n)[:, 0].tolist())
    assert len(starts) == min(
        everything.count(n), rule.max_clips or everything.count(n)
    )


@given(st.integers(1, 9), st.integers(1, 4), LENGTHS)
def test_clips_of_the_defaults_cover_the_video_once(clip_len, interval, n):
    rule = ClipSampling(clip_len=clip_len, frame_interval=interval)
    if n < rule.span:
        return
    frames = np.sort(all_inds(rule, n).ravel())
    # Every frame_interval-th frame, up to a tail shorter than a clip.
    assert (np.diff(frames) == interval).all()
    assert frames[0] == 0
    assert n - frames[-1] <= rule.stride + interval

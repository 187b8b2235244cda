from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mmaction.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from mmengine.runner.runner import _SlicedDataset

from vll_mmaction.datasets import (
    ClipBatchSampler,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)


class Clips:
    """The little that a sampler needs of a dataset."""

    def __init__(self, counts):
        self.clip_counts = np.asarray(counts)
        self.video_of = np.repeat(np.arange(len(counts)), counts)

    def __len__(self):
        return len(self.video_of)


def ragged(num_videos, seed=0):
    rng = np.random.default_rng(seed)
    return Clips(rng.geometric(0.1, num_videos))


def batch_sampler(dataset, rank, world, batch_size, drop_last=False, **kwargs):
    with patch(
        'vll_mmaction.datasets.samplers.video_sampler.get_dist_info',
        return_value=(rank, world),
    ):
        sampler = VideoGroupedSampler(dataset, seed=7, **kwargs)
    return VideoGroupedBatchSampler(sampler, batch_size, drop_last)


def world_batches(dataset, world, batch_size, epoch=0, **kwargs):
    """Batches of videos: [rank][step] -> list of video numbers."""
    ranks = []
    for rank in range(world):
        batches = batch_sampler(dataset, rank, world, batch_size, **kwargs)
        batches.sampler.set_epoch(epoch)
        steps = []
        for batch in batches:
            videos = dataset.video_of[batch]
            numbers = list(dict.fromkeys(videos.tolist()))
            # Whole videos: each brings all its clips, in order.
            wanted = np.concatenate(
                [np.flatnonzero(dataset.video_of == v) for v in numbers]
            )
            assert list(batch) == wanted.tolist()
            steps.append(numbers)
        assert len(steps) == len(batches)
        ranks.append(steps)
    return ranks


@pytest.mark.parametrize('balance', [True, False])
@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('batch_size', [1, 3, 8])
@pytest.mark.parametrize('world', range(1, 9))
@pytest.mark.parametrize('num_videos', [8, 61])
def test_an_epoch(num_videos, world, batch_size, shuffle, balance):
    dataset = ragged(num_videos)
    options = dict(shuffle=shuffle, balance=balance, window=5)
    ranks = world_batches(dataset, world, batch_size, **options)
    steps = -(-num_videos // (world * batch_size))
    assert [len(rank) for rank in ranks] == [steps] * world
    seen = []
    for rank in ranks:
        for videos in rank:
            assert len(videos) == len(set(videos)) == batch_size
            seen += videos
    assert set(seen) == set(range(num_videos))
    counts = np.bincount(seen)
    assert counts.max() - counts.min() <= 1
    again = world_batches(dataset, world, batch_size, **options)
    assert again == ranks
    other = world_batches(dataset, world, batch_size, epoch=1, **options)
    assert (other == ranks) is not shuffle
    assert [len(rank) for rank in other] == [steps] * world


def test_filled_up_videos_can_keep_apart(monkeypatch):
    monkeypatch.setattr(
        'vll_mmaction.datasets.samplers.video_sampler.MIXING_TRIES', 0
    )
    for world, batch_size in ((2, 3), (4, 8), (8, 5)):
        test_an_epoch(61, world, batch_size, shuffle=True, balance=True)


@pytest.mark.parametrize('batch_size', [1, 4])
@pytest.mark.parametrize('world', [1, 3])
def test_drop_last_leaves_out_the_rest(world, batch_size):
    ranks = world_batches(ragged(50), world, batch_size, drop_last=True)
    seen = [v for rank in ranks for videos in rank for v in videos]
    assert (
        len(seen)
        == len(set(seen))
        == 50 // (world * batch_size) * (world * batch_size)
    )


@pytest.mark.parametrize('batch_size', [1, 2, 8])
@pytest.mark.parametrize('world', [2, 4, 8])
def test_balance_evens_out_the_ranks(world, batch_size):
    dataset = ragged(4000)

    def work_share(balance):
        ranks = world_batches(dataset, world, batch_size, balance=balance)
        load = np.array(
            [[dataset.clip_counts[v].sum() for v in rank] for rank in ranks]
        )
        return load.mean(0).sum() / load.max(0).sum()

    assert work_share(True) > 0.97 > work_share(False) + 0.07


def test_batches_stay_a_random_mix():
    # Length goes with class: a batch should hold long videos and short ones.
    dataset = ragged(4000)
    mixed, plain = (
        np.array(
            [
                [dataset.clip_counts[videos].std() for videos in rank]
                for rank in world_batches(dataset, 4, 4, balance=balance)
            ]
        ).mean()
        for balance in (True, False)
    )
    assert mixed > 0.95 * plain


def test_balance_does_not_favour_a_rank():
    dataset = ragged(4000)
    for batch_size in (1, 4):
        ranks = world_batches(dataset, 4, batch_size)
        clips = [sum(dataset.clip_counts[v].sum() for v in r) for r in ranks]
        assert max(clips) / min(clips) < 1.05


def test_sampler_alone_yields_its_clips_video_by_video():
    dataset = ragged(20)
    sampler = batch_sampler(dataset, 1, 3, 1).sampler
    clips = list(sampler)
    assert len(clips) == len(sampler)
    batches = batch_sampler(dataset, 1, 3, 1)
    assert clips == [clip for batch in batches for clip in batch]


def test_batches_carry_seed_and_epoch():
    batches = batch_sampler(ragged(5), 0, 1, 2)
    batches.sampler.set_epoch(3)
    assert {batch.key for batch in batches} == {(7, 3)}
    stock = DefaultSampler(list(range(10)), seed=5)
    stock.set_epoch(2)
    clips = list(ClipBatchSampler(stock, 4))
    assert [len(batch) for batch in clips] == [4, 4, 2]
    assert {batch.key for batch in clips} == {(5, 2)}
    assert len(list(ClipBatchSampler(stock, 4, drop_last=True))) == 2


def test_num_batch_per_epoch_is_honoured():
    dataset = ragged(50)
    sliced = _SlicedDataset(dataset, 2 * 4 * 2)  # batches, videos, ranks
    batches = batch_sampler(sliced, 0, 2, 4)
    assert len(batches) == len(list(batches)) == 2
    seen = set()
    for epoch in range(80):
        batches.sampler.set_epoch(epoch)
        seen |= {dataset.video_of[clip] for b in batches for clip in b}
    assert seen == set(range(50))
    with pytest.raises(ValueError, match='asks for 51 videos.*has 50'):
        batch_sampler(_SlicedDataset(dataset, 51), 0, 1, 1)


def test_more_videos_a_batch_than_there_are():
    batches = batch_sampler(ragged(3), 0, 1, 4)
    with pytest.raises(ValueError, match='batch_size=4 .* dataset has 3'):
        next(iter(batches))


@pytest.mark.parametrize(
    'batch_size, error, message',
    [
        (0, ValueError, 'batch_size must be at least 1, got 0'),
        (2.0, TypeError, 'batch_size must be a positive int, got 2.0'),
    ],
)
def test_bad_batch_size(batch_size, error, message):
    with pytest.raises(error, match=message):
        batch_sampler(ragged(3), 0, 1, batch_size)


def test_drop_last_that_drops_all():
    with pytest.raises(ValueError, match='leaves no batch of the 3 videos'):
        batch_sampler(ragged(3), 0, 2, 2, drop_last=True)


def test_wrong_partners_are_named():
    stock = DefaultSampler(list(range(4)), seed=0)
    with pytest.raises(TypeError, match='got DefaultSampler'):
        VideoGroupedBatchSampler(stock, 1)
    with pytest.raises(TypeError, match="type='VideoClipDataset'.*|got list"):
        VideoGroupedSampler([1, 2, 3], seed=0)


def test_registered_as_mmengine_builds_them():
    sampler = DATA_SAMPLERS.build(
        dict(type='VideoGroupedSampler'),
        default_args=dict(dataset=ragged(3), seed=None),
    )
    batches = DATA_SAMPLERS.build(
        dict(type='VideoGroupedBatchSampler'),
        default_args=dict(sampler=sampler, batch_size=1),
    )
    assert len(list(batches)) == 3


def test_a_million_videos_take_a_moment():
    dataset = Clips([1] * 10)
    dataset.clip_counts = np.random.default_rng(0).geometric(0.1, 10**6)
    batches = batch_sampler(dataset, 0, 8, 1)
    first = next(iter(batches))
    assert len(first) >= 1


# --- properties of any data set on any number of ranks ----------------------

COUNTS = st.lists(st.integers(1, 9), min_size=1, max_size=30)
RUN = st.fixed_dictionaries(
    dict(
        world=st.integers(1, 5),
        batch_size=st.integers(1, 4),
        epoch=st.integers(0, 3),
        shuffle=st.booleans(),
        balance=st.booleans(),
        drop_last=st.booleans(),
        window=st.integers(1, 4),
    )
)


@given(COUNTS, RUN)
def test_every_epoch_deals_whole_videos_evenly(counts, run):
    a_step = run['world'] * run['batch_size']
    assume(run['batch_size'] <= len(counts))
    assume(a_step <= len(counts) or not run['drop_last'])
    dataset = Clips(counts)
    ranks = world_batches(dataset, **run)  # whole videos, clips in order
    steps = {len(rank) for rank in ranks}
    assert len(steps) == 1
    seen = [v for rank in ranks for videos in rank for v in videos]
    times = np.bincount(seen, minlength=len(counts))
    for rank in ranks:
        for videos in rank:
            assert len(set(videos)) == len(videos) == run['batch_size']
    if run['drop_last']:
        assert times.max() == 1
        assert times.sum() == len(counts) // a_step * a_step
    else:
        assert times.min() >= 1
        assert times.max() - times.min() <= 1
        assert times.sum() < len(counts) + a_step


@given(COUNTS, RUN, st.integers(0, 40))
def test_what_is_skipped_is_the_start(counts, run, skip):
    world, epoch = run.pop('world'), run.pop('epoch')
    a_step = world * run['batch_size']
    assume(run['batch_size'] <= len(counts))
    assume(a_step <= len(counts) or not run['drop_last'])
    whole, rest = (
        batch_sampler(Clips(counts), world - 1, world, **run) for _ in range(2)
    )
    for batches in (whole, rest):
        batches.sampler.set_epoch(epoch)
    rest.skip(epoch, skip)
    assert list(map(list, rest)) == list(map(list, whole))[skip:]
    # The next epoch begins at its start.
    for batches in (whole, rest):
        batches.sampler.set_epoch(epoch + 1)
    assert list(map(list, rest)) == list(map(list, whole))


@given(COUNTS, st.integers(0, 3), st.randoms())
def test_order_of_the_videos_does_not_depend_on_their_clips(
    counts, epoch, random
):
    others = random.sample(counts, len(counts))
    orders = [
        world_batches(Clips(c), 2, 1, epoch, balance=False)
        for c in (counts, others)
    ]
    assert orders[0] == orders[1]


@given(COUNTS, st.integers(1, 9))
def test_clip_level_batches_hold_each_clip_once(counts, batch_size):
    clips = Clips(counts)
    batches = list(ClipBatchSampler(DefaultSampler(clips, seed=1), batch_size))
    assert sorted(sum(map(list, batches), [])) == list(range(len(clips)))
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}

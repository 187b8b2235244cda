#!/usr/bin/env python
"""How much of a step the ranks work, and what evening it out costs.

A rank's work is its number of clips; a step lasts as long as the rank with
the most. With the real lengths of the training videos of UCF101 and HMDB51
(split 1), over some epochs:

- plain: every rank takes the next videos of a random order;
- ours: what VideoGroupedSampler deals;
- bound: with one video a rank, sorting the whole epoch by length, which no
  dealing beats (but the same videos meet in every epoch); with several, what
  dealing the videos of plain's random steps among the ranks could reach at
  best, with whole clips and the longest video of each step. Ours may be above:
  it chooses the videos of a step.

Randomness is the share of the pairs of videos of a step, over all ranks,
that have the same class or come from the same source, and the largest number
of clips of a rank.

Large jobs are simulated too: 64 and 1,024 ranks, on UCF101 and on lengths like
those of Kinetics-400, which are drawn: 240,000 clips of 10 s, a tenth of them
shorter, down to 4 s, half at 25 and half at 30 frames a second.

Example::

    python tools/benchmarks/balance.py --quick
    python tools/benchmarks/balance.py --large  # these alone, a minute
"""

import argparse
import time
import tracemalloc
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Optional
from unittest import mock

import numpy as np
from bench_common import machine, markdown

import vll_mmaction  # noqa: F401  (before the first import of mmaction)
from vll_mmaction.datasets import ClipSampling, VideoGroupedSampler

DATA = Path(__file__).parent / 'data'
RANKS = (2, 4, 8, 64)
VIDEOS_A_RANK = (1, 2, 4, 8)
WINDOWS = (10, 50, 200, 500, 1000)
LARGE_RANKS, LARGE_WINDOWS = (64, 1024), (50, 200, 500)


def load(name: str, max_clips: Optional[int] = None) -> SimpleNamespace:
    """Training videos of a data set.

    Args:
        name (str): ``'ucf101'`` or ``'hmdb51'``.
        max_clips (int, optional): As of SampleVideoClips.

    Returns:
        SimpleNamespace: ``counts``, ``labels``, ``groups``: (n,) int64.
    """
    with np.load(DATA / f'{name}.npz') as file:
        train = file['split1'] == 1
        return SimpleNamespace(
            counts=ClipSampling(max_clips=max_clips).count(
                file['frames'][train]
            ),
            labels=file['labels'][train].astype(np.int64),
            groups=file['groups'][train].astype(np.int64),
        )


def deal(
    counts: np.ndarray, ranks: int, videos: int, epoch: int, **kwargs
) -> np.ndarray:
    """What the sampler deals in an epoch.

    Args:
        counts (np.ndarray): (num_videos,) int64, clips of each video.
        ranks (int): Number of ranks.
        videos (int): Videos a rank and step.
        epoch (int): Number of the epoch.
        kwargs: ``balance`` and ``window`` of VideoGroupedSampler.

    Returns:
        np.ndarray: (steps, ranks, videos) int64.
    """
    target = 'vll_mmaction.datasets.samplers.video_sampler.get_dist_info'
    with mock.patch(target, lambda: (0, ranks)):
        sampler = VideoGroupedSampler(
            SimpleNamespace(clip_counts=counts), seed=0, **kwargs
        )
    sampler.set_epoch(epoch)
    return sampler.deal(videos)


def working(load: np.ndarray) -> float:
    """Share of the time of all ranks that is work.

    Args:
        load (np.ndarray): (steps, ranks) int64, clips of each rank.

    Returns:
        float: 0 to 1.
    """
    return float(load.sum() / (load.max(1).sum() * load.shape[1]))


def bound(counts: np.ndarray, steps: np.ndarray) -> float:
    """Share that the best dealing could reach, see the top.

    Args:
        counts (np.ndarray): (num_videos,) int64.
        steps (np.ndarray): (steps, ranks, videos) int64, an epoch.

    Returns:
        float: 0 to 1.
    """
    _, ranks, videos = steps.shape
    clips = counts[steps]
    if videos == 1:
        return working(np.sort(clips.reshape(-1)).reshape(-1, ranks))
    clips = clips.reshape(len(steps), -1)
    # The rank with the longest video has the shortest ones beside it, and no
    # rank has less than the mean, rounded up.
    order = np.sort(clips, axis=1)
    longest = order[:, -1] + order[:, : videos - 1].sum(1)
    best = np.maximum(longest, -(-clips.sum(1) // ranks))
    return float(clips.sum() / (best.sum() * ranks))


def same_pairs(values: np.ndarray, steps: np.ndarray) -> float:
    """Share of the pairs of videos of a step with the same value.

    Args:
        values (np.ndarray): (num_videos,) int64.
        steps (np.ndarray): (steps, ranks, videos) int64.

    Returns:
        float: 0 to 1.
    """
    found = np.sort(values[steps].reshape(len(steps), -1), axis=1)
    size = found.shape[1]
    same = sum(
        int((found[:, shift:] == found[:, :-shift]).sum())
        for shift in range(1, size)
    )
    return same / (len(steps) * size * (size - 1) / 2)


def compare(data: SimpleNamespace, epochs: int) -> list[list]:
    """Rows: ranks, videos a rank, share that is work, randomness."""
    rows = []
    for videos in VIDEOS_A_RANK:
        for ranks in RANKS:
            found = []
            for epoch in range(epochs):
                plain = deal(data.counts, ranks, videos, epoch, balance=False)
                ours = deal(data.counts, ranks, videos, epoch)
                loads = [data.counts[x].sum(2) for x in (plain, ours)]
                found.append(
                    [
                        *map(working, loads),
                        bound(data.counts, plain),
                        *(
                            100 * same_pairs(values, steps)
                            for values in (data.labels, data.groups)
                            for steps in (plain, ours)
                        ),
                        *(load.max() for load in loads),
                    ]
                )
            mean = np.mean(found, axis=0)
            rows.append(
                [
                    f'{videos} x {ranks}',
                    *(f'{share:.3f}' for share in mean[:3]),
                    *(f'{mean[at]:.2f} / {mean[at + 1]:.2f}' for at in (3, 5)),
                    f'{mean[7]:.0f} / {mean[8]:.0f}',
                ]
            )
    return rows


def mean_share(
    counts: np.ndarray, ranks: int, videos: int, epochs: int, **kwargs
) -> float:
    """Share that is work, over some epochs of :func:`deal`."""
    deals = (deal(counts, ranks, videos, x, **kwargs) for x in range(epochs))
    return float(np.mean([working(counts[steps].sum(2)) for steps in deals]))


def compare_windows(data: SimpleNamespace, epochs: int) -> list[list]:
    """Rows: window, share that is work at each number of ranks, same class."""
    rows = []
    for window in WINDOWS:
        cells = []
        for ranks in RANKS:
            deals = [
                deal(data.counts, ranks, 1, epoch, window=window)
                for epoch in range(epochs)
            ]
            share = np.mean([working(data.counts[x].sum(2)) for x in deals])
            same = np.mean([same_pairs(data.labels, x) for x in deals])
            cells.append(f'{share:.3f} ({100 * same:.2f})')
        rows.append([window, *cells])
    return rows


def share_of_configs(counts: np.ndarray, epochs: int) -> list[list]:
    """Rows: videos a rank, share that is work at each number of ranks."""
    return [
        [videos]
        + [f'{mean_share(counts, x, videos, epochs):.3f}' for x in RANKS]
        for videos in VIDEOS_A_RANK
    ]


def like_kinetics(num_videos: int = 240_000) -> np.ndarray:
    """Clips a video of lengths like those of Kinetics-400, (n,) int64."""
    rng = np.random.default_rng(0)
    seconds = np.full(num_videos, 10.0)
    short = rng.random(num_videos) < 0.1
    seconds[short] = rng.uniform(4, 10, short.sum())
    frames = seconds * rng.choice([25, 30], num_videos)
    return ClipSampling().count(frames.astype(np.int64))


def large_jobs(name: str, counts: np.ndarray, epochs: int) -> list[list]:
    """Rows: work of plain and of each window, for each number of ranks."""
    ways = [dict(balance=False), *(dict(window=x) for x in LARGE_WINDOWS)]
    rows = []
    for ranks in LARGE_RANKS:
        for videos in (1, 8):
            setting = counts, ranks, videos, epochs
            shares = [f'{mean_share(*setting, **way):.3f}' for way in ways]
            dealt = str(len(counts) // (ranks * videos))
            rows.append([f'{name}, {videos} x {ranks:,}', dealt, *shares])
    return rows


def print_large_jobs(epochs: int) -> None:
    """Print the table of the large jobs."""
    print('\nLarge jobs, share of the step that is work:\n')
    header = ['videos a rank x ranks', 'steps an epoch', 'plain']
    header += [f'window={window}' for window in LARGE_WINDOWS]
    data = {
        'UCF101': load('ucf101').counts,
        'UCF101, at most 20 clips': load('ucf101', 20).counts,
        'like Kinetics-400': like_kinetics(),
    }
    rows = [
        row
        for name, counts in data.items()
        for row in large_jobs(name, counts, epochs)
    ]
    print(markdown(header, rows))


def time_an_epoch(num_videos: int, counts: np.ndarray) -> list[list]:
    """Rows: processor time and memory of dealing an epoch to 8 ranks."""
    counts = np.random.default_rng(0).choice(counts, num_videos)
    rows = []
    for videos in (1, 8):
        started = time.process_time()
        deal(counts, 8, videos, 0)
        seconds = time.process_time() - started
        tracemalloc.start()
        deal(counts, 8, videos, 0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append(
            [
                f'{num_videos:,} videos, {videos} a rank',
                f'{seconds:.2f} s',
                f'{peak / num_videos:.0f} bytes',
            ]
        )
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quick', action='store_true', help='a minute')
    parser.add_argument('--large', action='store_true', help='them alone')
    parser.add_argument('--epochs', type=int, help='to average over')
    parser.add_argument('--videos', type=int, default=10**6, help='to time')
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    epochs = args.epochs or (2 if args.quick else 10)
    print(machine())
    print_large_jobs(min(epochs, 2))
    if args.large:
        return
    for name in ('ucf101', 'hmdb51'):
        data = load(name)
        print(f'\n{name}, {len(data.counts)} training videos, {epochs} epochs')
        print('\nShare of the step that is work, and randomness:\n')
        header = [
            'videos a rank x ranks',
            'plain',
            'ours',
            'bound',
            'same class %, plain / ours',
            'same source %, plain / ours',
            'most clips, plain / ours',
        ]
        print(markdown(header, compare(data, epochs)))
        print('\nOne video a rank, by window (same class %):\n')
        header = ['steps a window', *(f'{ranks} ranks' for ranks in RANKS)]
        print(markdown(header, compare_windows(data, epochs)))
        print('\nAt most 20 clips a video, as our configs train:\n')
        counts = load(name, 20).counts
        header = ['videos a rank', *(f'{ranks} ranks' for ranks in RANKS)]
        print(markdown(header, share_of_configs(counts, epochs)))
    print('\nDealing an epoch to 8 ranks, processor time and peak memory:\n')
    rows = time_an_epoch(args.videos, load('ucf101').counts)
    print(markdown(['', 'time', 'memory a video'], rows))


if __name__ == '__main__':
    main()

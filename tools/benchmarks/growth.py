#!/usr/bin/env python
"""How start-up, epoch and memory grow with the number of videos.

For data sets of more and more videos with the lengths of UCF101's: reading a
complete frame index and building the dataset (start-up of a run; counting
the frames, once a data set, is timed apart, since it depends on the disk),
dealing an epoch on 8 ranks, looking up a clip, and the memory that a process
holds. The videos themselves are not there: the index says how long they are.

Example::

    python tools/benchmarks/growth.py --quick
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
from balance import deal, load
from bench_common import encode_video, machine, markdown

SIZES = (13_320, 100_000, 1_000_000)
RANKS = (1, 8, 64, 1024)


def write_index(folder: Path, num_videos: int) -> str:
    """Write an annotation file and a frame index of files that are empty.

    Args:
        folder (pathlib.Path): Where to.
        num_videos (int): Number of videos.

    Returns:
        str: The annotation file.
    """
    from vll_mmaction.video_io.frame_index import (
        FrameIndex,
        VideoEntry,
        _stamp,
    )

    (folder / 'videos').mkdir()
    one = folder / 'videos' / 'one.avi'
    one.touch()
    index = FrameIndex(
        str(folder / 'videos' / 'frame_index.jsonl'), str(folder / 'videos')
    )
    rng = np.random.default_rng(0)
    counts = load('ucf101').counts
    frames = (16 * rng.choice(counts, num_videos)).tolist()
    stamp = _stamp(str(one))
    ann_file = folder / 'ann.txt'
    with open(ann_file, 'w', encoding='utf-8') as file:
        for number, length in enumerate(frames):
            name = f'class_{number % 101}/v_{number:07d}.avi'
            index._entries[name] = VideoEntry(stamp, length)
            print(name, number % 101, file=file)
    index.save()
    return str(ann_file)


def peak_megabytes() -> float:
    """Largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(num_videos: int) -> dict:
    """Build a dataset of so many videos and time it, in this process.

    Args:
        num_videos (int): Number of videos.

    Returns:
        dict: ``startup``, ``epoch``, ``lookup`` (processor seconds),
        ``clips`` and ``memory`` (MB beyond the imports).
    """
    from vll_mmaction.datasets import SampleVideoClips, VideoClipDataset
    from vll_mmaction.video_io import frame_index

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ann_file = write_index(folder, num_videos)
        stamp = frame_index._stamp(str(folder / 'videos' / 'one.avi'))
        before = peak_megabytes()
        started = time.process_time()

        def stamp_of_missing(path: str) -> tuple[int, int]:
            os.path.exists(path)  # asks the file system, as for a real one
            return stamp

        with mock.patch.object(frame_index, '_stamp', stamp_of_missing):
            dataset = VideoClipDataset(
                ann_file,
                [SampleVideoClips(clip_len=16)],
                data_prefix=dict(video=str(folder / 'videos')),
            )
        startup = time.process_time() - started
        memory = peak_megabytes() - before
        started = time.process_time()
        for clip in np.linspace(0, len(dataset) - 1, 1000).astype(int):
            dataset.get_data_info(clip)
        lookup = (time.process_time() - started) / 1000
        started = time.process_time()
        deal(dataset.clip_counts, 8, 1, 0)
        epoch = time.process_time() - started
    return dict(
        startup=startup,
        epoch=epoch,
        lookup=lookup,
        clips=len(dataset),
        memory=memory,
    )


def measure_apart(num_videos: int) -> SimpleNamespace:
    """:func:`measure` in a process of its own, whose memory is then its."""
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', __file__, '--one', str(num_videos)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return SimpleNamespace(**parse_line(run.stdout))


def parse_line(output: str) -> dict:
    """The last line of an output, ``key=number`` a word."""
    words = output.strip().splitlines()[-1].split()
    pairs = (word.split('=') for word in words)
    return {key: float(value) for key, value in pairs}


def count_frames_seconds(num_videos: int) -> float:
    """Seconds by the clock to count the frames of a video of 186 frames.

    Args:
        num_videos (int): Videos to count, files of their own.

    Returns:
        float: Seconds a video, on all cores.
    """
    from vll_mmaction.video_io.frame_index import count_frames

    with tempfile.TemporaryDirectory() as name:
        first = encode_video(os.path.join(name, '0.avi'), num_frames=186)
        paths = [first]
        for number in range(1, num_videos):
            paths.append(os.path.join(name, f'{number}.avi'))
            os.link(first, paths[-1])
        started = time.monotonic()
        assert len(list(count_frames(paths))) == num_videos
        return (time.monotonic() - started) / num_videos


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quick', action='store_true', help='a minute')
    parser.add_argument('--one', type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    if args.one:
        found = measure(args.one)
        print(*(f'{key}={value}' for key, value in found.items()))
        return
    rows = []
    for size in SIZES[: 2 if args.quick else 3]:
        found = measure_apart(size)
        rows.append(
            [
                f'{size:,}',
                f'{int(found.clips):,}',
                found.startup,
                found.epoch,
                1e6 * found.lookup,
                found.memory,
                1e6 * found.memory / size,
            ]
        )
    print(machine())
    print('\nProcessor time, one run each:\n')
    header = [
        'videos',
        'clips',
        'start-up, s',
        'dealing an epoch to 8 ranks, s',
        'looking up a clip, us',
        'memory at start-up, MB',
        'bytes a video',
    ]
    print(markdown(header, rows))
    print('\nDealing an epoch of 1,000,000 videos, one a rank:\n')
    counts = np.random.default_rng(0).choice(load('ucf101').counts, 10**6)
    rows = []
    for ranks in RANKS:
        started = time.process_time()
        deal(counts, ranks, 1, 0)
        rows.append([ranks, time.process_time() - started])
    print(markdown(['ranks', 's'], rows))
    seconds = count_frames_seconds(50 if args.quick else 400)
    print(
        f'\nCounting frames, once a data set: {1000 * seconds:.1f} ms a video '
        f'of 186 frames by the clock, that is {13320 * seconds:.0f} s for '
        f'13,320 videos and {10**6 * seconds / 3600:.1f} h for 1,000,000, on '
        f'{os.cpu_count()} cores with the files in memory.'
    )


if __name__ == '__main__':
    main()

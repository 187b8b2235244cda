#!/usr/bin/env python
"""How start-up, epoch and memory grow with the number of videos.

For data sets of more and more videos with the lengths of UCF101's: reading a
complete frame index and building the dataset (start-up of a run; counting
the frames, once a data set, is timed apart, since it depends on the disk),
dealing an epoch on 8 ranks, looking up a clip, and the memory that a process
and its data loader's workers hold. The videos themselves are not there, or are
empty files: the index says how long they are.

Example::

    python tools/benchmarks/growth.py --quick
"""

import argparse
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sized
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
from balance import deal, load
from bench_common import apart, encode_video, machine, markdown, megabytes
from torch.utils.data import DataLoader

from vll_mmaction.datasets import SampleVideoClips, VideoClipDataset
from vll_mmaction.video_io import index_store
from vll_mmaction.video_io.index_rows import DECODE, IndexColumns, IndexRow
from vll_mmaction.video_io.index_store import IndexStore
from vll_mmaction.video_io.prober import count_frames, file_stamp
from vll_mmaction.video_io.video_facts import VideoFacts

MILLION = 1_000_000
SIZES = (13_320, 100_000, MILLION)
METHODS = ('fork', 'spawn')
RANKS = (1, 8, 64, 1024)
WAYS = dict(
    always='columns',
    never="columns, check_files='never'",
    there='columns, the files there',
)


def write_data_set(folder: Path, num_videos: int, with_files: bool) -> None:
    """Write an annotation file, its index and, if wanted, empty videos."""
    rng = np.random.default_rng(0)
    frames = (16 * rng.choice(load('ucf101').counts, num_videos)).tolist()
    names = [f'class_{k % 101}/v_{k:07d}.avi' for k in range(num_videos)]
    ann_file = folder / 'ann.txt'
    with open(ann_file, 'w', encoding='utf-8') as file:
        file.writelines(f'{n} {k % 101}\n' for k, n in enumerate(names))
    videos = folder / 'videos'
    videos.mkdir()
    if with_files:
        for name in names[:101]:
            (videos / name).parent.mkdir(exist_ok=True)
        for name in names:
            os.close(os.open(f'{videos}/{name}', os.O_CREAT))
    size = dict(width=320, height=240, pixel_format='yuv420p')
    rows = (
        IndexRow(name, *stamp, 0, DECODE, VideoFacts(length, **size))
        for name, length in zip(names, frames)
        for stamp in [file_stamp(f'{videos}/{name}')]
    )
    store = IndexStore(str(videos / 'frame_index'))
    store.writer().close()
    store.added = IndexColumns.of(rows)
    with mock.patch.object(index_store, 'MANY_ROWS', 0):
        store.compact()


@contextlib.contextmanager
def watch_memory() -> Iterator[list[float]]:
    """Private memory while something runs: before, now and then, after."""
    found, done = [megabytes('RssAnon')], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            found.append(megabytes('RssAnon'))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()
        found.append(megabytes('RssAnon'))


class LookUps:
    """Looks clips up in a worker; a batch is the memory it then has, in MB."""

    def __init__(self, dataset: Sized) -> None:
        self.dataset = dataset

    def __getitems__(self, clips: np.ndarray) -> float:
        for clip in clips:
            self.dataset.get_data_info(clip)
        return megabytes('Private_Dirty')


def growth_of_worker(dataset: Sized, counts: np.ndarray, method: str) -> float:
    """What a data loader's worker takes while it looks up clips.

    Args:
        dataset (Sized): A ``VideoClipDataset``.
        counts (np.ndarray): (num_videos,) int64, its clip counts.
        method (str): How the worker is started, ``'fork'`` or ``'spawn'``.

    Returns:
        float: Memory that no other process shares, in MB: how much more there
        is after a clip of each video, of a million at most, than after a
        tenth of them.
    """
    clips = np.random.default_rng(0).permutation(np.cumsum(counts) - 1)
    loader = DataLoader(
        LookUps(dataset),
        # Arrays: what this process writes to is shared no longer.
        batch_sampler=np.array_split(clips[:MILLION], 100),
        num_workers=1,
        multiprocessing_context=method,
        collate_fn=float,
    )
    found = list(loader)
    return found[-1] - found[9]


def measure(num_videos: int, way: str) -> dict:
    """Build a dataset by one of ``WAYS`` and time it, in this process.

    Returns:
        dict: ``startup``, ``epoch``, ``lookup`` (processor seconds),
        ``clips``, ``peak`` and ``private`` (MB beyond the imports, that no
        file is mapped to), ``fork`` and ``spawn``
        (:func:`growth_of_worker`).
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ['XDG_CACHE_HOME'] = name
        apart(
            write_data_set, folder, num_videos, way == 'there', method='fork'
        )
        started = time.process_time()
        with watch_memory() as memory:
            dataset = VideoClipDataset(
                str(folder / 'ann.txt'),
                [SampleVideoClips(clip_len=16)],
                data_prefix=dict(video=str(folder / 'videos')),
                check_files='never' if way == 'never' else 'always',
            )
            counts = dataset.clip_counts
            startup = time.process_time() - started
        started = time.process_time()
        for clip in np.linspace(0, len(dataset) - 1, 1000).astype(int):
            dataset.get_data_info(clip)
        lookup = (time.process_time() - started) / 1000
        started = time.process_time()
        deal(counts, 8, 1, 0)
        epoch = time.process_time() - started
        workers = {
            method: growth_of_worker(dataset, counts, method)
            for method in METHODS
        }
    return dict(
        startup=startup,
        epoch=epoch,
        lookup=lookup,
        clips=int(counts.sum()),
        peak=max(memory) - memory[0],
        private=memory[-1] - memory[0],
        **workers,
    )


def count_frames_seconds(num_videos: int) -> float:
    """Seconds by the clock to count a video of 186 frames, on all cores."""
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
    parser.add_argument(
        '--sizes', type=int, nargs='+', help='numbers of videos'
    )
    args = parser.parse_args()
    os.environ['PYTHONWARNINGS'] = 'ignore'  # of the processes to come
    rows, workers = [], []
    for size in args.sizes or SIZES[: 2 if args.quick else 3]:
        for way, title in WAYS.items():
            found = SimpleNamespace(**apart(measure, size, way))
            rows.append(
                {
                    'videos': f'{size:,}',
                    'way': title,
                    'clips': f'{found.clips:,}',
                    'start-up, s': found.startup,
                    'private memory at most, MB': found.peak,
                    'then, MB': found.private,
                    'dealing an epoch to 8 ranks, s': found.epoch,
                    'looking up a clip, us': 1e6 * found.lookup,
                }
            )
        workers.append([f'{size:,}', found.fork, found.spawn])
    print(machine())
    print('\nProcessor time and memory beyond the imports, one run each:\n')
    print(markdown(rows[0], [row.values() for row in rows]))
    print(
        "\nGrowth of a data loader's worker, MB, while it looks up a clip of"
    )
    print('each of nine tenths of the videos, after the first tenth:\n')
    print(markdown(['videos', 'fork', 'spawn'], workers))
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

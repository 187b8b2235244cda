#!/usr/bin/env python
"""How fast features are read, and how much memory a process keeps.

Features of as many random clips as UCF101's training videos have, 2,048 half
floats each, in batches of whole videos through the data loader; and again of
four times as many, to see what grows.

Example::

    python tools/benchmarks/features.py --workers 0
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_common import megabytes
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from vll_mmaction.datasets import (
    ClipFeatureDataset,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)
from vll_mmaction.datasets.feature_store import FeatureStoreWriter

CLIPS, VIDEOS, CHANNELS = 107085, 9537, 2048
RULE = dict(clip_len=16, frame_interval=1, clip_stride=16, short='loop')
BATCH = 16
"""Videos a batch."""
CHUNK = 4096


def write(folder: Path, times: int) -> None:
    """Write random features and their list."""
    counts = np.full(VIDEOS * times, CLIPS // VIDEOS)
    counts[: CLIPS * times - counts.sum()] += 1
    names = np.array([f'{number}.avi' for number in range(len(counts))])
    shape = [int(counts.sum()), 1, CHANNELS]
    about = dict(
        source='1234567890abcdef',
        clip_rule=RULE,
        shape=shape,
        pipeline='',
        seed=0,
    )
    columns = dict(
        filenames=names, labels=counts * 0, total_frames=counts * 16
    )
    FeatureStoreWriter.create(str(folder / 'features'), about, columns)
    writer = FeatureStoreWriter(str(folder / 'features'))
    chunk = np.random.default_rng(0).random((CHUNK, CHANNELS))
    for first in range(0, shape[0], CHUNK):
        rows = np.arange(first, min(first + CHUNK, shape[0]))
        inds = np.zeros((len(rows), 16))
        writer.write(rows, 0, chunk[: len(rows)], inds)
    writer.flush()
    writer.finish()
    lines = ''.join(f'{name} 0\n' for name in names)
    (folder / 'ann.txt').write_text(lines)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--workers', type=int, default=0)
    workers = parser.parse_args().workers
    for times in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), times)
            size = os.path.getsize(f'{folder}/features/features.npy')
            data = ClipFeatureDataset(
                'ann.txt', data_root=folder, features='features'
            )
            sampler = VideoGroupedSampler(data, seed=0)
            loader = DataLoader(
                data,
                batch_sampler=VideoGroupedBatchSampler(sampler, BATCH),
                num_workers=workers,
                collate_fn=pseudo_collate,
            )
            before = megabytes('RssAnon')
            began, used = time.time(), time.process_time()
            clips = sum(len(batch['inputs']) for batch in loader)
            print(
                f'{clips} clips, {size / 1e6:.0f} MB: '
                f'{time.time() - began:.1f} s, of this process '
                f'{time.process_time() - used:.1f} s of processor time; '
                f'private memory {before:.0f} MB before, '
                f'{megabytes("RssAnon"):.0f} MB after',
                flush=True,
            )


if __name__ == '__main__':
    sys.exit(main())

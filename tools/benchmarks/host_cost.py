#!/usr/bin/env python
"""What a clip costs the training process before the network starts.

Batches of whole videos come from worker processes, are cast and brought into
one tensor, and head and loss score them, with logits given: the network is
free. The figure is the processor time of the main process with its threads,
in microseconds a clip. In turn, batch by batch, go

- clip_collate: one tensor and columns,
- the same and a copy of the pixels, in place of the copy to a GPU,
- stock collate: the same items as a list, stacked,
- MMAction2: items of its own VideoDataset, a storage and a label tensor each,

and, to compare, the plain copy of a batch's bytes from warm memory.

    python tools/benchmarks/host_cost.py
"""

import argparse
import itertools
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from bench_common import encode_video, interleaved, machine, markdown
from mmaction.registry import DATASETS, MODELS
from mmaction.utils import register_all_modules
from mmengine.dataset import pseudo_collate
from mmengine.model import stack_batch
from torch import Tensor
from torch.utils.data import DataLoader

import vll_mmaction  # noqa: F401  (before the first import of mmaction)
from vll_mmaction.datasets import (
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
    clip_collate,
)

VIDEOS, CLIPS, SIZE, CLASSES = 8, 11, 112, 101
WAYS = 'clip_collate', 'stock collate', 'MMAction2'


def write_videos(folder: Path) -> None:
    """Videos of 11 clips each, and their list."""
    first = encode_video(
        str(folder / '0.avi'),
        num_frames=16 * CLIPS,
        size=(SIZE, SIZE),
        key_frame_every=16,
    )
    for number in range(1, 4 * VIDEOS):
        shutil.copy(first, folder / f'{number}.avi')
    lines = [f'{number}.avi {number}' for number in range(4 * VIDEOS)]
    (folder / 'ann.txt').write_text('\n'.join(lines))


def build_loader(way: str, folder: Path, workers: int) -> DataLoader:
    """A loader of batches of ``VIDEOS`` videos, or as many clips, without end.

    ``way`` is one of ``WAYS``.
    """
    stock = way == 'MMAction2'
    if stock:
        read = 'DecordInit', 'SampleFrames', 'DecordDecode'
    else:
        read = 'VideoReaderInit', 'SampleVideoClips', 'ReadVideoClips'
    dataset = DATASETS.build(
        dict(
            type='VideoDataset' if stock else 'VideoClipDataset',
            ann_file=str(folder / 'ann.txt'),
            data_prefix=dict(video=str(folder)),
            pipeline=[
                dict(type=read[0]),
                dict(type=read[1], clip_len=16),
                dict(type=read[2]),
                dict(type='FormatShape', input_format='NCTHW'),
                dict(type='PackActionInputs'),
            ],
        )
    )
    if stock:
        sampler = torch.utils.data.RandomSampler(
            dataset, replacement=True, num_samples=10**6
        )
        batches = dict(batch_size=VIDEOS * CLIPS, sampler=sampler)
    else:
        dataset = DATASETS.build(
            dict(type='RepeatDataset', dataset=dataset, times=1000)
        )
        sampler = VideoGroupedSampler(dataset, seed=0)
        batches = dict(batch_sampler=VideoGroupedBatchSampler(sampler, VIDEOS))
    return DataLoader(
        dataset,
        num_workers=workers,
        collate_fn=clip_collate if way == 'clip_collate' else pseudo_collate,
        **batches,
    )


class Receiver:
    """The training process without its network."""

    def __init__(self) -> None:
        self.preprocessor = MODELS.build(dict(type='ClipDataPreprocessor'))
        self.head = MODELS.build(
            dict(
                type='VideoLevelI3DHead',
                num_classes=CLASSES,
                in_channels=8,
                loss_cls=dict(type='VideoLevelLoss'),
            )
        )
        self.stock_head = MODELS.build(
            dict(type='I3DHead', num_classes=CLASSES, in_channels=8)
        )
        shape = VIDEOS * CLIPS, 1, 3, 16, SIZE, SIZE
        self.memory = torch.zeros(shape, dtype=torch.uint8)
        self.scores = torch.randn(VIDEOS * CLIPS, CLASSES)

    def receive(self, batches: Iterator[dict], copy: bool) -> None:
        """All that is done with a batch; copies pixels in one tensor."""
        data = self.preprocessor.cast_data(next(batches))
        inputs, samples = data['inputs'], data['data_samples']
        if not isinstance(inputs, Tensor):
            inputs = stack_batch(inputs)
        elif copy:
            self.memory.copy_(inputs)
        if len(inputs) != len(self.scores):
            raise RuntimeError(f'a batch of {len(inputs)} clips')
        stock = samples[0].get('video_id') is None
        head = self.stock_head if stock else self.head
        head.loss_by_feat(self.scores, samples)


def measure(folder: Path, workers: int, rounds: int) -> dict[str, float]:
    """Processor time of the main process by way.

    Returns:
        dict[str, float]: Microseconds a clip, median of the batches.
    """
    receiver = Receiver()
    ours, stock, theirs = (
        iter(build_loader(way, folder, workers)) for way in WAYS
    )
    warm = torch.ones_like(receiver.memory)
    turns = {
        WAYS[0]: lambda: receiver.receive(ours, copy=False),
        f'{WAYS[0]} and a copy': lambda: receiver.receive(ours, copy=True),
        WAYS[1]: lambda: receiver.receive(stock, copy=False),
        WAYS[2]: lambda: receiver.receive(theirs, copy=False),
        'plain copy': lambda: receiver.memory.copy_(warm),
    }
    taken = interleaved(turns, rounds, warm_up=2)
    clips = VIDEOS * CLIPS
    return {
        name: 1e6 * float(np.median(times)) / clips
        for name, times in taken.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--workers', type=int, nargs='+', default=[2])
    parser.add_argument('--rounds', type=int, default=12)
    args = parser.parse_args()
    register_all_modules()
    logging.disable(logging.INFO)
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_videos(folder)
        columns = {}
        strategies = sorted(torch.multiprocessing.get_all_sharing_strategies())
        for sharing, workers in itertools.product(strategies, args.workers):
            torch.multiprocessing.set_sharing_strategy(sharing)
            columns[f'{sharing}, {workers}'] = measure(
                folder, workers, args.rounds
            )
    ways = list(next(iter(columns.values())))
    rows = [
        [way, *(f'{found[way]:.0f}' for found in columns.values())]
        for way in ways
    ]
    print(markdown(['us a clip', *columns], rows))


if __name__ == '__main__':
    main()

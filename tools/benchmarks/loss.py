#!/usr/bin/env python
"""What the video-level loss costs beside the backbone, on one CPU thread.

Forward and backward of VideoLevelLoss on random scores of 101 classes, in
videos with the clip counts of UCF101, as a share of forward and backward of
C3D-lite on as many clips (timed on a few clips, since its time is
proportional to their number); and how many times as long the pairs take by
a loop over videos with ``F.pdist`` and by a double loop over clips.

Example::

    python tools/benchmarks/loss.py --quick
"""

import argparse
import warnings
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from balance import load
from bench_common import interleaved, machine, markdown, ratio

from vll_mmaction.models import (
    C3DLite,
    ConsistentConstraintLoss,
    VideoLevelLoss,
)

NUM_CLASSES = 101
BATCHES = (1, 2, 8, 64)
# Beyond that the double loop takes minutes.
MOST_PAIRS_LOOPED = 3000


def backbone_seconds_a_clip(clips: int, rounds: int, size: int) -> float:
    """Processor seconds of forward and backward of C3D-lite, a clip.

    Timed on some clips of so many pixels in height and width.
    """
    model = C3DLite(input_size=(16, size, size))
    inputs = torch.randn(clips, 3, 16, size, size)

    def step() -> None:
        model.zero_grad()
        model(inputs).sum().backward()

    return float(np.median(interleaved({'': step}, rounds)['']) / clips)


def pdist_loop(scores: torch.Tensor, counts: list[int]) -> torch.Tensor:
    """Eq. 4 by a loop over the videos.

    Args:
        scores (torch.Tensor): (M, K) probabilities, video by video.
        counts (list[int]): Clips of each video, adding up to M.

    Returns:
        torch.Tensor: Scalar.
    """
    terms = [
        F.pdist(part).mean() if len(part) > 1 else part.sum() * 0
        for part in scores.split(counts)
    ]
    return torch.stack(terms).mean()


def double_loop(scores: torch.Tensor, counts: list[int]) -> torch.Tensor:
    """Eq. 4 as it is written, see :func:`pdist_loop`."""
    terms = []
    for part in scores.split(counts):
        distances = [
            torch.linalg.vector_norm(part[k] - part[j])
            for j in range(len(part))
            for k in range(j)
        ]
        terms.append(
            torch.stack(distances).mean() if distances else part.sum() * 0
        )
    return torch.stack(terms).mean()


def measure(videos: int, rounds: int, seconds_a_clip: float) -> dict:
    """A row of the table.

    Args:
        videos (int): Videos a batch.
        rounds (int): Times each is measured.
        seconds_a_clip (float): The backbone's.

    Returns:
        dict: Cells by column: milliseconds of the loss, its share of the
        backbone's time, times of the two loops as multiples of ours.
    """
    rng = np.random.default_rng(0)
    counts = rng.choice(load('ucf101').counts, videos).tolist()
    ids = torch.arange(videos).repeat_interleave(torch.tensor(counts))
    logits = torch.randn(len(ids), NUM_CLASSES, requires_grad=True)
    label = torch.randint(NUM_CLASSES, (videos,))[ids]
    whole = VideoLevelLoss()
    pairs = ConsistentConstraintLoss(mode='euc')

    def looped(loop: Callable) -> torch.Tensor:
        return loop(logits.softmax(1), counts)

    losses = {
        'VLL': lambda: sum(whole(logits, label, ids).values()),
        'ours': lambda: pairs(logits, label, ids),
        'pdist': lambda: looped(pdist_loop),
    }
    if sum(n * (n - 1) // 2 for n in counts) <= MOST_PAIRS_LOOPED:
        losses['double'] = lambda: looped(double_loop)
    torch.testing.assert_close(losses['ours'](), losses['pdist']())
    ways = {
        name: lambda loss=loss: loss().backward()
        for name, loss in losses.items()
    }
    taken = interleaved(ways, rounds)
    own = float(np.median(taken['VLL']))
    share = 100 * own / (seconds_a_clip * len(ids))
    double = '-'
    if 'double' in taken:
        double = f'{ratio(taken["double"], taken["ours"]):.1f}'
    return {
        'videos a batch': videos,
        'clips': len(ids),
        'VideoLevelLoss, ms': 1000 * own,
        'of the backbone': f'{share:.3f}%',
        'pdist loop / ours': f'{ratio(taken["pdist"], taken["ours"]):.2f}',
        'double loop / ours': double,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quick', action='store_true', help='a minute')
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    torch.manual_seed(0)
    seconds = backbone_seconds_a_clip(2, 2 if args.quick else 7, 112)
    rounds = 7 if args.quick else 31
    rows = [measure(videos, rounds, seconds) for videos in BATCHES]
    print(machine())
    print(f'C3D-lite, forward and backward: {seconds:.2f} s a clip\n')
    print(markdown(rows[0], [row.values() for row in rows]))


if __name__ == '__main__':
    main()

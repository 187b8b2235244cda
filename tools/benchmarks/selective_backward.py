#!/usr/bin/env python
"""Does gradient through half the clips save what it should?

A training step on videos of 8 and 16 clips, all of whose clips carry gradient
(plain) or half of them (``backward_share=0.5``), and a forward pass alone,
take turns in one process. With F the forward pass's share of plain's time, a
step with the share r of the clips cannot take less than F + r (1 - F).
Memory is the peak of a step in a process of its own, see memory.py.

    python tools/benchmarks/selective_backward.py
"""

import argparse
import statistics

import torch
from bench_common import interleaved, machine, markdown, ratio
from memory import Setting, apart, build, measure_memory, seconds, step
from train_step import make_batch

SHARE = 0.5
NETWORKS = 'C3D-lite', 'SlowOnly-18'
CLIPS = 8, 16
NARROW = 8
"""All layers have that many times fewer channels."""


def measure_time(
    setting: Setting, clips: int, rounds: int
) -> dict[str, float]:
    """Time of half the clips and of a forward pass, as multiples of plain's.

    Returns:
        dict[str, float]: ``half`` and ``forward``, medians of the rounds, and
        the ``seconds`` of plain.
    """
    plain, half = build(setting, 'plain'), build(setting, 'half')
    batch = make_batch(1, clips)

    def forward() -> None:
        with torch.no_grad():
            plain.loss(**plain.data_preprocessor(dict(batch), training=True))

    ways = dict(
        plain=lambda: step(plain, batch, 'plain', 1),
        half=lambda: step(half, batch, 'half', 1),
        forward=forward,
    )
    taken = interleaved(ways, rounds, seconds)
    found = {way: ratio(taken[way], taken['plain']) for way in ways}
    found['seconds'] = statistics.median(taken['plain'])
    return found


def row(setting: Setting, clips: int, rounds: int) -> list:
    """A row of the table, see :func:`main`."""
    found = apart(measure_time, setting, clips, rounds)
    mib = [
        apart(measure_memory, setting, way, clips)['mib']
        for way in ('plain', 'half')
    ]
    forward = found['forward']
    return [
        f'{setting.network}, {clips} clips',
        f'{found["seconds"]:.2f}',
        f'{forward:.2f}',
        f'{forward + SHARE * (1 - forward):.2f}',
        f'{found["half"]:.2f}',
        *(f'{value:.0f}' for value in mib),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    print(f'{machine()}, channels / {NARROW}\n', flush=True)
    header = ['', 'plain, s', 'F', 'bound', 'half']
    header += ['MiB, plain', 'MiB, half']
    rows = [
        row(Setting(network, NARROW, 1), clips, args.rounds)
        for network in NETWORKS
        for clips in CLIPS
    ]
    print(markdown(header, rows))


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Whether memory and open files stay flat over a long training.

Stock ``train.py`` trains 20 epochs over 200 generated videos with persistent
workers, validating now and then. After each epoch a hook writes down, for the
main process, each training worker and the validation workers: memory (resident
without mapped files, and also where a fork still shares it, so that nothing
grows when one writes to it), of it shared memory, and open files. The first
epochs are left out, in which caches fill and allocators find their size; after
them the growth an epoch is fitted by a line.

    python tests/stress/leaks.py --work /tmp/leaks

Something leaks if a process ends with more open files than it had then, or if
its memory grows by more than half a MiB an epoch.
"""

import argparse
import json
import os
import shutil
from pathlib import Path

import numpy as np
import stress_runs as runs
from bench_common import machine, markdown, megabytes
from mmaction.registry import HOOKS
from mmengine.hooks import Hook

EXTRA = """
train_cfg = dict(max_epochs={epochs}, val_interval=5)
param_scheduler = []
default_hooks = dict(
    checkpoint=dict(by_epoch=True, interval=1), logger=dict(interval=20))
custom_hooks = [*_base_.custom_hooks, dict(type='MemoryHook')]
"""
TOLERANCE = 0.5  # MiB an epoch
NAMES = 'memory', 'shared', 'files'


@HOOKS.register_module(force=True)
class MemoryHook(Hook):
    """Appends what each process holds to a file, after each epoch."""

    priority = 'LOWEST'

    def after_train_epoch(self, runner) -> None:
        """Write a line."""
        found = {'main': measure(os.getpid())}
        for stage in ('train', 'val'):
            loader = getattr(runner, f'{stage}_dataloader')
            workers = getattr(loader._iterator, '_workers', [])
            for number, worker in enumerate(workers, 1):
                found[f'{stage} worker {number}'] = measure(worker.pid)
        with open(os.environ['MEMORY_HOOK'], 'a', encoding='utf-8') as file:
            file.write(json.dumps(found) + '\n')


def measure(pid: int) -> tuple[float, float, int]:
    """What a process holds.

    Returns:
        tuple: MiB of memory, MiB of it shared, number of open files.
    """
    shared = megabytes('RssShmem', pid)
    files = len(os.listdir(f'/proc/{pid}/fd'))
    return megabytes('RssAnon', pid) + shared, shared, files


def train(work: Path, epochs: int, videos: int) -> list[dict]:
    """Train; :func:`measure` of each process, for each epoch."""
    data = runs.make_data(work / 'data', videos, max(8, videos // 10))
    shutil.rmtree(work / 'run', ignore_errors=True)
    config = runs.write_config(
        work / 'run/config.py', data, EXTRA.format(epochs=epochs)
    )
    lines = work / 'run/memory.jsonl'
    os.environ['MEMORY_HOOK'] = str(lines)
    words = [config, '--work-dir', work / 'run/work', '--seed', '1']
    runs.ForkedTraining(words, work / 'run/log.txt').wait(3600)
    return [json.loads(line) for line in lines.read_text().splitlines()]


def judge(measured: list[dict], warm_up: int) -> tuple[list, bool]:
    """Rows of the table, and whether nothing leaks after some epochs."""
    rows, flat = [], True
    for process in measured[-1]:
        lines = [line[process] for line in measured if process in line]
        # Those of validation come late.
        lines = lines[min(warm_up, len(lines) // 2) :]
        for name, values in zip(NAMES, np.array(lines, float).T):
            slope = 0.0
            if len(values) > 1:
                slope = np.polyfit(range(len(values)), values, 1)[0]
            if name == 'files':
                good = values[-1] <= values[0]
            else:
                good = slope <= TOLERANCE
            flat = flat and good
            row = process, name, values[0], values[-1], values.max()
            rows.append((*row, f'{slope:+.3f}', 'flat' if good else 'GROWS'))
    return rows, flat


def main() -> None:
    """Train, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--epochs', type=int, default=20)
    parser.add_argument('--videos', type=int, default=200)
    parser.add_argument('--warm-up', type=int, default=5)
    args = parser.parse_args()
    runs.prepare()
    measured = train(args.work.resolve(), args.epochs, args.videos)
    rows, flat = judge(measured, args.warm_up)
    header = (
        *('process', 'quantity', f'after epoch {args.warm_up + 1}', 'last'),
        *('most', 'growth an epoch', 'verdict'),
    )
    print(f'{machine()}; {args.epochs} epochs of {args.videos} videos\n')
    print(markdown(header, rows))
    raise SystemExit(not flat)


if __name__ == '__main__':
    main()

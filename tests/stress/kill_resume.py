#!/usr/bin/env python
"""Kill training at random moments, resume it, compare with one in one go.

Stock ``train.py`` trains a small video-level model once without interruption.
Then it trains again, and all its processes get SIGKILL, again and again, and
``--resume`` goes on each time until the end is reached. Half of the kills come
at a random time (while it starts, reads, trains, validates, logs), half when
the file of a checkpoint appears in the work folder, so that many come while it
is being written. What a killed process left behind tells whether that was so:
a temporary file (or, with stock's checkpoint hook, a file cut off).

Compared, to the last bit: weights, their moving average, momentum, schedules,
log history and bookkeeping in the last checkpoint; the best checkpoint; the
files that are there; and the logged curve, training and validation, joined
from the log files of all parts. Only times and paths are left out.

    python tests/stress/kill_resume.py --work /tmp/kill_resume

How processes are started without paying for imports each time is told in
``stress_runs.py``; ``--launched`` starts ``tools/dist_train.sh`` for some of
the kills instead.
"""

import argparse
import ctypes
import json
import os
import random
import re
import select
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import stress_runs as runs
import torch
from bench_common import machine, markdown
from mmaction.registry import HOOKS, TRANSFORMS
from mmcv.transforms import BaseTransform
from mmengine.hooks import CheckpointHook

from vll_mmaction.engine.hooks import AtomicCheckpointHook

VIDEOS, TEST_VIDEOS = 24, 8

EPOCHS = """
train_cfg = dict(max_epochs=3, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=1,
         convert_to_iter_based=True),
    dict(type='MultiStepLR', milestones=[2], gamma=0.1)]
"""
ITERATIONS = """
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=30, val_interval=10)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[17], gamma=0.1)]
log_processor = dict(by_epoch=False)
custom_hooks = [*_base_.custom_hooks, dict(type='EMAHook')]
"""
STOCK_WRITING = "default_hooks['checkpoint'].update(type='StockWriting')\n"
NOTED = "_base_.train_pipeline.insert(0, dict(type='NoteReading'))\n" + (
    "train_dataloader['dataset'].update(pipeline=_base_.train_pipeline)\n"
)
# As on a GPU where there is one: mixed precision, NCCL, pinned batches.
CUDA = torch.cuda.is_available()
DETERMINISTIC = f"""
train_dataloader['pin_memory'] = {CUDA}
env_cfg['dist_cfg']['backend'] = {'nccl' if CUDA else 'gloo'!r}
"""
LAUNCHED = '--launcher', 'pytorch', '--deterministic', *['--amp'] * CUDA
CASES = {
    'epochs, 1 process': (EPOCHS, 1),
    'iterations, 1 process': (ITERATIONS, 1),
    'epochs, 2 processes': (EPOCHS, 2),
    'iterations, 2 processes': (ITERATIONS, 2),
    "epochs, 1 process, stock's writing": (EPOCHS + STOCK_WRITING, 1),
    'epochs, 1 rank, deterministic': (EPOCHS + DETERMINISTIC, 1, *LAUNCHED),
}


@HOOKS.register_module(force=True)
class StockWriting(CheckpointHook):
    """Writes as stock does, in place; finds a whole file as ours does."""

    before_run = AtomicCheckpointHook.before_run
    _newest_whole_checkpoint = AtomicCheckpointHook._newest_whole_checkpoint


@TRANSFORMS.register_module(force=True)
class NoteReading(BaseTransform):
    """Appends the name of each video that is read to a file."""

    def transform(self, results: dict) -> dict:
        """Note it."""
        with open(os.environ['NOTE_READING'], 'a', encoding='utf-8') as file:
            file.write(results['filename'] + '\n')
        return results


@dataclass
class Count:
    """What happened in one case."""

    kills: int = 0
    written: int = 0  # while a checkpoint was being written
    resumed: int = 0  # parts that went on from a checkpoint
    inside: int = 0  # of these in the middle of an epoch
    runs: int = 0
    ahead: int = 0  # videos read that no step needed, in the last parts
    differences: list = field(default_factory=list)


class LaunchedTraining:
    """``tools/dist_train.sh``; all processes below it can be killed.

    Args:
        arguments (Sequence[str]): Of ``train.py``.
        log (Path): File that output is appended to.
        processes (int): As for ``ForkedTraining``.
    """

    def __init__(self, arguments, log: Path, processes: int) -> None:
        script = runs.ROOT / 'tools/dist_train.sh'
        config, *more = map(str, arguments)
        count = str(processes if processes > 1 else 0)
        with open(log, 'ab') as file:
            self.process = subprocess.Popen(
                ['bash', str(script), config, count, *more],
                env=dict(
                    os.environ,
                    PORT=str(runs.free_port()),
                    PYTHON=sys.executable,
                ),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.status = {}
        self.started = time.monotonic()

    def running(self) -> bool:
        """Whether it still runs."""
        if self.process.poll() is not None:
            self.status = {self.process.pid: self.process.returncode}
        return not self.status

    def kill(self) -> None:
        """SIGKILL to all, and wait till none is left."""
        runs.kill(self.process, runs.descendants(self.process.pid))


def half_written(work: Path) -> dict[Path, int]:
    """Checkpoint files that are not whole, with the time of their change."""
    found = {}
    for path in work.iterdir() if work.is_dir() else ():
        try:
            if path.suffix == '.tmp' or (
                path.suffix == '.pth' and not zipfile.is_zipfile(path)
            ):
                found[path] = path.stat().st_mtime_ns
        except FileNotFoundError:
            pass  # renamed in between
    return found


class Writings:
    """Tells when the file of a checkpoint is begun (Linux: inotify).

    Args:
        folder (Path): The work folder.
    """

    CREATE, MODIFY, NONBLOCK = 0x100, 0x2, 0x800

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None)
        self._file = libc.inotify_init1(self.NONBLOCK)
        mask = self.CREATE | self.MODIFY
        libc.inotify_add_watch(self._file, os.fsencode(folder), mask)
        self._last = ''

    def count(self, seconds: float) -> int:
        """Files begun since the last call; wait for one for a while."""
        if not select.select([self._file], [], [], seconds)[0]:
            return 0
        events, count = os.read(self._file, 1 << 16), 0
        while events:
            _, mask, _, length = struct.unpack_from('iIII', events)
            name = events[16 : 16 + length].rstrip(b'\0').decode()
            events = events[16 + length :]
            if not name.endswith(('.pth', '.pth.tmp')):
                continue
            # A file of the same name is cut to nothing and written anew.
            count += bool(mask & self.CREATE) or name != self._last
            self._last = name
        return count

    def close(self) -> None:
        """Watch no longer."""
        os.close(self._file)


def wait_to_kill(
    training, work: Path, seconds: float, write: int, later: float
) -> None:
    """Return when the moment has come, or the training has ended.

    Args:
        training (ForkedTraining): The training.
        work (Path): Its work folder.
        seconds (float): How long to wait at the most.
        write (int): Which writing of a checkpoint to wait for; 0 for none.
        later (float): Seconds to wait after it has begun.
    """
    work.mkdir(exist_ok=True)
    writings = Writings(work)
    while training.running():
        if time.monotonic() - training.started > seconds:
            break
        begun = writings.count(0.01)
        if write and begun >= write:
            time.sleep(later)
            break
        write -= min(begun, write)
    writings.close()


class Case:
    """One way of training, killed and resumed.

    Args:
        folder (Path): Where its runs go.
        data (Path): Folder of the videos.
        extra (str): What the config is besides the common part.
        processes (int): Ranks.
        seed (int): Of the moments of the kills.
        words (Sequence[str]): More arguments of ``train.py``.
    """

    def __init__(
        self,
        folder: Path,
        data: Path,
        extra: str,
        processes: int,
        seed: int,
        words: Sequence[str] = (),
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.folder, self.processes = folder, processes
        self.words = words
        extra = extra + NOTED
        self.config = runs.write_config(
            folder / 'config.py', data, extra, channels=768
        )
        self.rng = random.Random(seed)
        self.count = Count()
        self.steps = VIDEOS // (2 * processes)
        self.whole = folder / 'whole'
        training = self.start(self.whole)
        training.wait(600)
        self.seconds = time.monotonic() - training.started
        self.wanted = last_checkpoint(self.whole)

    def start(self, work: Path, *more: str, launched: bool = False):
        """Start to train; a file beside ``work`` notes what is read."""
        notes = work.with_name(f'{work.name}_reads.txt')
        notes.unlink(missing_ok=True)
        os.environ['NOTE_READING'] = str(notes)
        words = [self.config, '--work-dir', work, '--seed', '1']
        words += [*self.words, *more]
        kind = LaunchedTraining if launched else runs.ForkedTraining
        return kind(words, work.with_name(f'{work.name}.log'), self.processes)

    def run(self, launched: int = 0) -> None:
        """Train once to the end, through kills, and compare.

        Args:
            launched (int): How many of the parts ``dist_train.sh`` starts.
        """
        self.count.runs += 1
        work = self.folder / f'killed_{self.count.runs}'
        log = work.with_name(f'{work.name}.log')
        for part in range(1000):
            before = half_written(work)
            told = log.stat().st_size if log.exists() else 0
            real = part < launched
            more = ['--resume'] if part else []
            training = self.start(work, *more, launched=real)
            write = self.rng.randint(1, 4) if self.rng.random() < 0.5 else 0
            share = 2 if write else self.rng.uniform(0.05, 0.8)
            # Whole in a few milliseconds; to the disk takes longer.
            later = self.rng.choice([0, self.rng.uniform(0, 0.03)])
            seconds = share * self.seconds + 20 * real
            wait_to_kill(training, work, seconds, write or real, later)
            ended = not training.running()
            training.kill()
            found = self._note_start(log, told)
            if ended:
                break
            self.count.kills += 1
            new = half_written(work).items() - before.items()
            self.count.written += bool(new)
        if any(training.status.values()):
            raise RuntimeError(f'training failed, see {log}')
        self._count_reads(work, found)
        self._compare(work)

    def _note_start(self, log: Path, told: int) -> int:
        """Iteration from which the last part went on."""
        said = log.read_text(errors='replace')[told:]
        found = re.findall(r'resumed epoch: \d+, iter: (\d+)', said)
        iteration = int(found[-1]) if found else 0
        self.count.resumed += iteration > 0
        self.count.inside += iteration % self.steps > 0
        return iteration

    def _count_reads(self, work: Path, start: int) -> None:
        notes = work.with_name(f'{work.name}_reads.txt')
        read = len(notes.read_text().splitlines()) if notes.exists() else 0
        steps = self.wanted['meta']['iter'] - start
        needed = steps * 2 * self.processes
        self.count.ahead = max(self.count.ahead, read - needed)

    def _compare(self, work: Path) -> None:
        found = flatten(last_checkpoint(work))
        wanted = flatten(self.wanted)
        different = [
            name
            for name in found.keys() | wanted.keys()
            if name not in found
            or name not in wanted
            or not same(found[name], wanted[name])
        ]
        files = [
            {path.name for path in folder.iterdir() if not path.is_dir()}
            for folder in (work, self.whole)
        ]
        different += [f'file {name}' for name in files[0] ^ files[1]]
        for best in self.whole.glob('best_*.pth'):
            pair = [
                flatten(load(folder / best.name)['state_dict'])
                for folder in (work, self.whole)
                if (folder / best.name).exists()
            ]
            if len(pair) < 2 or not all(
                same(value, pair[0][name]) for name, value in pair[1].items()
            ):
                different.append(best.name)
        rows, again = curve(work), curve(self.whole)
        different += [
            f'row {key}'
            for key in rows.keys() | again.keys()
            if rows.get(key, []) != again.get(key)
        ]
        self.count.differences += [f'{work.name}: {d}' for d in different]


def load(path: Path) -> dict:
    """A checkpoint."""
    return torch.load(path, map_location='cpu')


def last_checkpoint(work: Path) -> dict:
    """The checkpoint that ``last_checkpoint`` names."""
    return load(work / Path((work / 'last_checkpoint').read_text()).name)


# Times, what is made of them, and the text of the config (with its paths).
LEFT_OUT = re.compile(
    r'time|eta$|data_wait|clips_per_second|memory|cfg|config'
    r'|experiment_name|mmengine_version'
)


def flatten(value, name: str = '') -> dict:
    """The leaves of nested dicts and lists, by their path."""
    if hasattr(value, '_log_history'):  # MMEngine's HistoryBuffer
        value = dict(log=value._log_history, count=value._count_history)
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {name: value}
    leaves = {}
    for key, part in items:
        if not LEFT_OUT.search(str(key)):
            leaves.update(flatten(part, f'{name}.{key}'))
    return leaves


def same(one, other) -> bool:
    """Equal to the last bit; paths by the name of their file."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, str) and os.sep in one:
        return Path(one).name == Path(other).name
    return one == other


def curve(work: Path) -> dict[tuple[str, int], list[dict]]:
    """Distinct rows of all log files, by kind and step."""
    rows = {}
    for path in sorted(work.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # cut off by a kill, and logged again
            kind = 'train' if 'lr' in row else 'val'
            row = flatten(row)
            known = rows.setdefault((kind, row['.step']), [])
            if row not in known:
                known.append(row)
    return rows


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument(
        '--kills', type=int, default=11, help='at least, in each case'
    )
    parser.add_argument('--cases', nargs='+', type=int, help='from 1')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--launched',
        type=int,
        default=0,
        help='parts that tools/dist_train.sh starts, in each case',
    )
    args = parser.parse_args()
    args.work = args.work.resolve()
    runs.prepare()
    data = runs.make_data(args.work / 'data', VIDEOS, TEST_VIDEOS)
    table, lost = [], []
    for number, (name, case) in enumerate(CASES.items(), 1):
        if args.cases and number not in args.cases:
            continue
        folder, seed = args.work / f'case_{number}', args.seed + number
        extra, processes, *words = case
        case = Case(folder, data, extra, processes, seed, words)
        count = case.count
        while count.kills < args.kills:
            case.run(args.launched if not count.runs else 0)
            print(name, count, flush=True)
        row = name, count.runs, count.kills, count.written
        equal = 'no' if count.differences else 'yes'
        row += count.resumed, count.inside, count.ahead, equal
        table.append(row)
        lost += [f'{name}: {text}' for text in count.differences]
    header = (
        'case',
        'runs',
        'kills',
        'while a checkpoint was written',
        'parts resumed',
        'inside an epoch',
        'videos read ahead',
        'equal',
    )
    print(f'\n{machine()}\n\n{markdown(header, table)}')
    print('\n'.join(lost))
    raise SystemExit(bool(lost))


if __name__ == '__main__':
    main()

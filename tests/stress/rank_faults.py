#!/usr/bin/env python
"""What becomes of a distributed training when one process gets into trouble.

``tools/dist_train.sh`` trains on two CPU processes (gloo). While it does, one
rank is killed or stopped, a data loading worker of it is killed, stopped or
hangs on a video, it meets videos that went bad, or the launcher is killed. For
each, the table tells whether the job ended or went on, after how many seconds,
and quotes the line of the log that says why. The distributed timeout is short
here (``--timeout``); configs of this project set 900 s.

Then training is resumed with another number of processes (2, 1, 4), at the
end of an epoch and inside one, and what stays equal is counted: which videos
each part read, and the learning rate of each epoch.

    python tests/stress/rank_faults.py --work /tmp/rank_faults
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import stress_runs as runs
from bench_common import machine, markdown
from mmaction.registry import HOOKS
from mmengine.hooks import Hook

VIDEOS, TEST_VIDEOS = 24, 8
# Shorter than the distributed timeout, as in the configs of this project.
READ_SECONDS = 10
ENDLESS = """
train_cfg = dict(max_epochs=100000, val_interval={val_interval})
train_dataloader['dataset'].update(max_read_seconds={read_seconds})
param_scheduler = []
default_hooks = dict(
    checkpoint=dict(by_epoch=True, interval=100000, save_best=None),
    logger=dict(interval=1))
env_cfg = dict(dist_cfg=dict(backend='gloo', timeout={timeout}))
"""
STEP = re.compile(r'Epoch\(train\) +\[(\d+)\]')


class Job:
    """``tools/dist_train.sh`` on two processes.

    Args:
        folder (Path): Where the config and the log go.
        data (Path): Folder of the videos.
        timeout (int): Distributed timeout in seconds.
        val_interval (int): Epochs between validations.
    """

    def __init__(
        self, folder: Path, data: Path, timeout: int, val_interval: int
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        extra = ENDLESS.format(
            timeout=timeout,
            val_interval=val_interval,
            read_seconds=READ_SECONDS,
        )
        config = runs.write_config(folder / 'config.py', data, extra)
        script = runs.ROOT / 'tools/dist_train.sh'
        words = ['bash', script, config, 2, '--work-dir', folder / 'work']
        words += ['--seed', 1]
        self.stopped: list[int] = []
        self.log = folder / 'log.txt'
        with open(self.log, 'wb') as file:
            self.process = subprocess.Popen(
                [str(word) for word in words],
                env=dict(
                    os.environ,
                    PORT=str(runs.free_port()),
                    PYTHON=sys.executable,
                ),
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        """What is in the log so far."""
        return self.log.read_text(errors='replace')

    def epochs(self) -> int:
        """Number of the epoch under way."""
        return max(map(int, STEP.findall(self.said())), default=0)

    def wait_for(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Whether something came true in time and before the job ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if ready():
                return True
            time.sleep(0.05)
        return ready()

    def rank(self, number: int) -> int:
        """Process id of a rank."""
        for pid in runs.descendants(self.process.pid):
            text = Path(f'/proc/{pid}/environ').read_bytes()
            if f'RANK={number}'.encode() in text.split(b'\0'):
                return pid
        raise RuntimeError(f'no rank {number}, see {self.log}')

    def processes(self) -> list[int]:
        """All that belong to the job, workers included."""
        return [self.process.pid, *runs.descendants(self.process.pid)]

    def kill(self, pids: list[int]) -> None:
        """End what is left."""
        runs.kill(self.process, pids)


def alive(pids: list[int]) -> list[int]:
    """Those that still run (a zombie does not)."""
    found = []
    for pid in pids:
        try:
            state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]
        except OSError:
            continue
        if state.split()[0] != 'Z':
            found.append(pid)
    return found


def kill_rank(job: Job) -> None:
    """SIGKILL to rank 1, as the kernel does when memory runs out."""
    os.kill(job.rank(1), signal.SIGKILL)


def stop_rank(job: Job) -> None:
    """Rank 1 does nothing any more, as on a hung disk or GPU."""
    os.kill(job.rank(1), signal.SIGSTOP)


def stop_rank_in_validation(job: Job) -> None:
    """The same while both validate."""
    count = job.said().count('Epoch(val)')
    job.wait_for(lambda: job.said().count('Epoch(val)') > count, 60)
    stop_rank(job)


def kill_worker(job: Job) -> None:
    """SIGKILL to a data loading worker of rank 1."""
    os.kill(runs.descendants(job.rank(1))[0], signal.SIGKILL)


def stop_worker(job: Job) -> None:
    """A data loading worker of rank 1 does nothing any more."""
    pid = runs.descendants(job.rank(1))[0]
    os.kill(pid, signal.SIGSTOP)
    # A stopped process notices nothing, nor that its rank has ended.
    job.stopped.append(pid)


def hang_on_a_video(job: Job) -> None:
    """Whoever opens a video waits: the kernel asks for its lease back first.

    It waits /proc/sys/fs/lease-break-time seconds, 45 by default.
    """
    path = sorted((job.data / 'train').glob('*.avi'))[0]
    # What the kernel asks by.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    file = os.open(path, os.O_RDWR)
    while True:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            return
        except BlockingIOError:
            time.sleep(0.01)  # someone reads it


def kill_launcher(job: Job) -> None:
    """SIGKILL to the launcher alone."""
    job.process.kill()


def spoil(job: Job, count: int) -> None:
    """Videos that were whole when they were indexed are cut off."""
    for path in sorted((job.data / 'train').glob('*.avi'))[:count]:
        os.truncate(path, 300)


def spoil_one(job: Job) -> None:
    """One of the 24 videos: 5 % may fail (``max_bad_videos``), at least 1."""
    spoil(job, 1)


def spoil_many(job: Job) -> None:
    """Eight of the 24 videos."""
    spoil(job, 8)


# What happens, how, what the log must say, must it go on?
FAULTS = [
    ('rank killed', kill_rank, r'SIGKILL|Signal 9', False),
    ('rank stopped', stop_rank, 'Timed out waiting', False),
    (
        'rank stopped in validation',
        stop_rank_in_validation,
        'Timed out waiting',
        False,
    ),
    ('worker of a rank killed', kill_worker, r'DataLoader worker', False),
    ('worker of a rank stopped', stop_worker, 'Timed out waiting', False),
    (
        'a video hangs',
        hang_on_a_video,
        r'was lost while it read .*\.avi',
        False,
    ),
    ('launcher killed', kill_launcher, r'', False),
    ('one bad video', spoil_one, r'takes its place', True),
    ('many bad videos', spoil_many, r'more than max_bad_videos', False),
]


def try_fault(
    folder: Path, data: Path, fault: tuple, timeout: int
) -> tuple[list, bool]:
    """Start a job, let it happen, see what comes of it.

    Args:
        folder (Path): Where the job's files go.
        data (Path): Folder of the videos, which are copied.
        fault (tuple): A row of ``FAULTS``.
        timeout (int): Distributed timeout in seconds.

    Returns:
        tuple: The row of the table, and whether all is well.
    """
    name, happen, cause, goes_on = fault
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(data, folder / 'data')
    val_interval = 1 if 'validation' in name else 100000
    job = Job(folder / 'job', folder / 'data', timeout, val_interval)
    job.data = folder / 'data'
    if not job.wait_for(lambda: job.epochs() >= 2, 180):
        raise RuntimeError(f'the job did not start, see {job.log}')
    pids = job.processes()
    before = len(job.said())
    happen(job)
    started, epoch = time.monotonic(), job.epochs()
    # The launcher gives ranks 30 s to end after it told them to.
    limit = started + timeout + 120
    while time.monotonic() < limit:
        ended = not set(alive(pids)) - set(job.stopped)
        said = re.search(cause, job.said()[before:]) if cause else None
        if ended or (goes_on and said and job.epochs() >= epoch + 4):
            break
        time.sleep(0.1)
    seconds = time.monotonic() - started
    left = alive(pids)
    went_on = job.epochs() >= epoch + 4
    job.kill(left)
    lines = job.said()[before:].splitlines() if cause else []
    quoted = next((li for li in lines if re.search(cause, li)), '')
    quoted = re.sub(r'/\S*/', '', quoted).strip().replace('|', '/')[-150:]
    outcome = 'ended' if ended else 'went on' if went_on else 'HUNG'
    well = (outcome == 'went on') if goes_on else (outcome == 'ended')
    well = well and bool(quoted or not cause)
    return [name, outcome, f'{seconds:.0f}', f'`{quoted}`'], well


WORLDS = """
train_cfg = dict(max_epochs=6, val_interval=2)
param_scheduler = [dict(type='MultiStepLR', milestones=[1, 3, 5], gamma=0.1)]
custom_hooks = [*_base_.custom_hooks, dict(type='NoteBatches')]
"""
# Processes of each part, and the iteration after which it is killed. A step
# of 2 processes is 4 videos: an epoch is 6 steps; 12 of 1 process, 3 of 4.
WHOLE_EPOCHS = [(2, 12), (1, 36), (4, None)]
INSIDE = [(2, 8), (1, 24), (4, None)]


@HOOKS.register_module(force=True)
class NoteBatches(Hook):
    """Writes down what each rank trains; kills it when its time has come."""

    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Note epoch, learning rate and videos of a batch."""
        videos = {sample.filename for sample in data_batch['data_samples']}
        line = dict(
            epoch=runner.epoch,
            lr=runner.optim_wrapper.get_lr()['lr'][0],
            videos=sorted(videos),
        )
        with open(os.environ['NOTE_BATCHES'], 'a', encoding='utf-8') as file:
            file.write(json.dumps(line) + '\n')

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        """Die after the iteration that was asked for, once it is saved."""
        if runner.iter + 1 == int(os.environ['KILL_AFTER']):
            os.kill(os.getpid(), signal.SIGKILL)


def try_worlds(
    folder: Path, data: Path, parts: list
) -> tuple[list[list], bool]:
    """Train in parts with different numbers of processes.

    Args:
        folder (Path): Where all files go.
        data (Path): Folder of the videos.
        parts (list): Processes and last iteration of each part.

    Returns:
        tuple: Rows of the table, and whether all is well.
    """
    shutil.rmtree(folder, ignore_errors=True)
    config = runs.write_config(folder / 'config.py', data, WORLDS, workers=1)
    work, log = folder / 'work', folder / 'log.txt'
    rows, rates = [], defaultdict(set)
    last_seen = {}
    for number, (processes, stop) in enumerate(parts):
        notes = folder / f'batches_{number}.jsonl'
        os.environ.update(NOTE_BATCHES=str(notes), KILL_AFTER=str(stop or -1))
        told = log.stat().st_size if log.exists() else 0
        words = [config, '--work-dir', work, '--seed', '1', '--resume']
        training = runs.ForkedTraining(words, log, processes)
        while training.running():
            time.sleep(0.05)
        training.kill()
        said = log.read_text(errors='replace')[told:]
        wanted = {-signal.SIGKILL} if stop else {0}
        if set(training.status.values()) != wanted:
            raise RuntimeError(f'{training.status}, see {log}')
        seen = defaultdict(Counter)
        for line in map(json.loads, notes.read_text().splitlines()):
            seen[line['epoch'] + 1].update(line['videos'])
            rates[line['epoch'] + 1].add(line['lr'])
        # An epoch that starts anew counts from there.
        last_seen.update(seen)
        start = re.findall(r'resumed epoch: (\d+), iter: (\d+)', said)
        start = ', '.join(f'epoch {e}, iteration {i}' for e, i in start)
        told = re.findall(r'Resuming after .*', said)
        seen = [
            f'{epoch}: {len(videos)} x {max(videos.values())}'
            for epoch, videos in seen.items()
        ]
        rows.append(
            [processes, start or 'the start', ', '.join(seen)]
            + [told[0].rpartition('one run. ')[2] if told else '']
        )
    well = all(
        len(videos) == VIDEOS and set(videos.values()) == {1}
        for videos in last_seen.values()
    )
    well = well and sorted(last_seen) == list(range(1, 7))
    first = max(rates[1])
    for epoch, found in rates.items():
        wanted = first * 0.1 ** sum(epoch > stone for stone in (1, 3, 5))
        well = well and all(abs(lr / wanted - 1) < 1e-9 for lr in found)
    return rows, well


def main() -> None:
    """Run all and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--timeout', type=int, default=20)
    parser.add_argument('--faults', nargs='*', type=int, help='from 1')
    args = parser.parse_args()
    work = args.work.resolve()
    runs.prepare()
    data = runs.make_data(work / 'data', VIDEOS, TEST_VIDEOS)
    rows, good = [], True
    for number, fault in enumerate(FAULTS, 1):
        if args.faults is None or number in args.faults:
            folder = work / f'fault_{number}'
            row, well = try_fault(folder, data, fault, args.timeout)
            print(*row, '' if well else '<-- NOT WELL', flush=True)
            rows.append(row)
            good = good and well
    header = 'what happens', 'the job', 'after s', 'the log says'
    print(f'\n{machine()}\n\n{markdown(header, rows)}')
    header = (
        *('processes', 'goes on from', 'epoch: videos x times each'),
        'the log says',
    )
    for name, parts in dict(whole=WHOLE_EPOCHS, inside=INSIDE).items():
        rows, well = try_worlds(work / f'worlds_{name}', data, parts)
        print(f'\n{markdown(header, rows)}\nwell: {well}')
        good = good and well
    raise SystemExit(not good)


if __name__ == '__main__':
    main()

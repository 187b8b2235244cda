"""Makes a run with MMAction2's tools, and goes on with one that was killed."""

import datetime
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from vll_mmaction.evaluation import load_clip_results

from .configs import ROOT, ExperimentError
from .in_process import train_and_test
from .plans import Run
from .results import accuracies
from .state import STATE, check_state, new_state, read_state, write_state

LOCK = '.lock'


@contextmanager
def _lock(folder: Path):
    """Hold a run's folder; yields what children must hold, too.

    A training that outlives the runner goes on writing there. As long as it
    does, the lock is held.
    """
    with open(folder / LOCK, 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExperimentError(
                f'another process is at work in {folder}, or a training '
                'that outlived its runner'
            ) from None
        yield file.fileno()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def _last_progress(log: Path) -> str:
    """The newest progress line of MMEngine, in short."""
    with open(log, 'rb') as file:
        file.seek(max(0, log.stat().st_size - 8192))
        text = file.read().decode(errors='replace')
    lines = re.findall(r'Epoch\(\w+\) +\[.*', text)
    return re.sub(r'\s+', ' ', lines[-1])[:90] if lines else ''


def _start_tool(words: list, log: Path, lock: int) -> None:
    """Run a tool; its output goes to a log file.

    Raises:
        ExperimentError: It failed; the message has the end of the log.
    """
    environment = dict(os.environ, PYTHON=sys.executable)
    environment.setdefault('PORT', str(_free_port()))
    with open(log, 'ab') as file:
        process = subprocess.Popen(
            words,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=[lock],
            # Its own group, so that it ends with all its workers.
            start_new_session=True,
        )
        try:
            console = Console(stderr=True)
            with console.status('') as status:
                while True:
                    try:
                        code = process.wait(2)
                        break
                    except subprocess.TimeoutExpired:
                        status.update(_last_progress(log))
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if code:
        end = log.read_text(errors='replace').splitlines()[-15:]
        raise ExperimentError(
            '\n'.join([f'{Path(words[1]).name} failed, see {log}:', *end])
        )


def _set_aside_damaged(run: Run) -> None:
    """Make room where the last checkpoint is there but not whole.

    Training then goes on from the newest whole one, or from the beginning.
    """
    if not run.checkpoint.exists():
        return
    damaged = run.checkpoint.with_name(f'{run.checkpoint.name}.damaged')
    print(f'  {run.checkpoint} is not whole: moved to {damaged.name}')
    os.replace(run.checkpoint, damaged)
    if not list(run.folder.glob('epoch_*.pth')):
        (run.folder / 'last_checkpoint').unlink(missing_ok=True)


@contextmanager
def _stage(run: Run, state: dict, name: str):
    """Keep the time of a training or a test."""
    began = time.time()
    state['status'] = f'{name}ing'
    state['began'] = began
    write_state(run.folder, state)
    yield
    state['seconds'][name] += round(time.time() - began, 1)
    del state['began']


def _count_interruption(run: Run, state: dict) -> None:
    """Add the time of a run that was killed, as its files tell it."""
    began = state.pop('began', None)
    if began is None:
        return
    name = state['status'].removesuffix('ing')
    log = run.folder / f'{name}.log'
    if log.exists():
        seconds = max(0, log.stat().st_mtime - began)
        state['seconds'][name] += round(seconds, 1)
    state['interruptions'] += 1


def _run_tool(
    run: Run, state: dict, processes: int, lock: int, name: str, *words: object
) -> None:
    """Run dist_train.sh or dist_test.sh as a stage."""
    script = ROOT / f'tools/dist_{name}.sh'
    options = [f'{k}={v}' for k, v in run.options(processes).items()]
    words = ['bash', script, run.config, *words, '--cfg-options', *options]
    # Not without a checkpoint: stock then drops the config's load_from.
    if name == 'train' and (run.folder / 'last_checkpoint').is_file():
        words.append('--resume')
    print(f'  {name}: {run.name}', flush=True)
    with _stage(run, state, name):
        _start_tool([*map(str, words)], run.folder / f'{name}.log', lock)


def _train(run: Run, state: dict, processes: int, lock: int) -> None:
    _set_aside_damaged(run)
    words = processes, '--work-dir', run.folder, '--seed', run.seed
    _run_tool(run, state, processes, lock, 'train', *words)
    if not run.trained:
        raise ExperimentError(
            f'training ended without {run.checkpoint}, see '
            f'{run.folder / "train.log"}'
        )


def _test(run: Run, state: dict, processes: int, lock: int) -> None:
    words = run.checkpoint, processes, '--work-dir', run.folder / 'test'
    _run_tool(run, state, processes, lock, 'test', *words)


def _train_and_test(run: Run, state: dict, processes: int) -> None:
    """Both in this process."""
    _set_aside_damaged(run)
    with _stage(run, state, 'train'):
        train_and_test(run, run.options(processes), run.folder / 'train.log')


def _figures(run: Run) -> dict:
    if run.writes_features:
        return {}
    results = load_clip_results(str(run.results))
    return dict(
        accuracies=accuracies(results),
        videos=len(results),
        clips=len(results.clip_scores),
    )


def is_done(run: Run, test: bool = True) -> bool:
    """Whether a run is trained and, if wanted, tested.

    Raises:
        ExperimentError: What is in its folder is not from this run.
    """
    state = read_state(run.folder)
    check_state(run, state)
    if not state and run.folder.is_dir() and any(run.folder.glob('*.pth')):
        raise ExperimentError(
            f'{run.folder} holds checkpoints but no {STATE}: it is not from '
            'this tool. Name another folder by --out.'
        )
    if not test:
        return bool(state) and run.trained
    return state.get('status') == 'done' and run.results.exists()


def execute(run: Run, processes: int, failed: dict, test: bool = True) -> str:
    """Make a run, or what is left of it; first the run it starts from.

    Args:
        run (Run): The run.
        processes (int): GPUs; 0 for one process on the CPU.
        failed (dict[Path, str]): Folders of runs that failed, and why.
            Filled here; they are not tried again.
        test (bool): False for a model that others only start from.

    Returns:
        str: What was done: 'trained', 'tested', 'trained and tested', or
        'was done before'.

    Raises:
        ExperimentError: See its message. Nothing was overwritten.
    """
    if run.folder in failed:
        raise ExperimentError(f'{run.name} failed before')
    try:
        if is_done(run, test):
            return 'was done before'
        run.options(processes)  # refuses before anything is begun
        if run.start is not None and not run.trained:
            needed = run.on_features  # what its test writes
            execute(run.start, processes, failed, test=needed)
        return _finish(run, processes, test)
    except ExperimentError as error:
        failed[run.folder] = str(error)
        raise


def _finish(run: Run, processes: int, test: bool) -> str:
    """Train and test as far as it was not done."""
    run.folder.mkdir(parents=True, exist_ok=True)
    did = []
    with _lock(run.folder) as lock:
        # Another process may have worked on it in the meantime.
        state = read_state(run.folder) or new_state(run, processes)
        _count_interruption(run, state)
        if not run.trained:
            if state['status'] == 'done':
                raise ExperimentError(
                    f'{run.folder} is done, but its model or its results are '
                    'gone. Move it away to run it anew.'
                )
            if state['gpus'] != processes:
                raise ExperimentError(
                    f'{run.folder} was begun on {state["gpus"]} GPUs and '
                    'goes on exactly on as many only: use --gpus '
                    f'{state["gpus"]}'
                )
            if run.in_process and processes <= 1:
                _train_and_test(run, state, processes)
            else:
                _train(run, state, processes, lock)
            did.append('trained')
        if test:
            if not _whole_results(run):
                _test(run, state, processes, lock)
                did.append('tested')
            now = datetime.datetime.now(datetime.timezone.utc)
            state.update(
                _figures(run),
                status='done',
                finished=now.isoformat(timespec='seconds'),
            )
        else:
            state['status'] = 'trained'
        write_state(run.folder, state)
    return ' and '.join(did) or 'was done before'


def _whole_results(run: Run) -> bool:
    """Whether results of the last checkpoint are there."""
    if not run.results.exists():
        return False
    if run.results.stat().st_mtime < run.checkpoint.stat().st_mtime:
        return False
    if run.writes_features:
        return True  # the folder gets its name when it is whole
    try:
        load_clip_results(str(run.results))
    except ValueError as error:
        print(f'  tested again: {error}')
        return False
    return True

"""What the stress tests of training share: a small data set, a small config,
and stock ``train.py`` in processes that start at once.

Starting Python with PyTorch and MMAction2 takes seconds of processor time. So
this process imports them once and forks a child for each training process,
which runs MMAction2's own ``train.py`` by ``runpy``, as ``python train.py``
would. The children are real processes with real data loading workers, in a
process group of their own, and die of real signals; only the imports are
spared.
"""

import ctypes
import os
import runpy
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import STDOUT, Popen

import tools_path
import make_videos
import torch
from stock_tools import free_port

import vll_mmaction  # noqa: F401  (before the first import of mmaction.models)
from vll_mmaction.__main__ import find_tool

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

# A config of the quickstart, made small: seconds on a CPU.
CONFIG = """
_base_ = {base!r}

data_root = {data!r}
loader = dict(num_workers={workers}, persistent_workers=True)
train_dataloader = dict(
    dataset=dict(data_root=data_root), batch_size=2, **loader)
val_dataloader = dict(dataset=dict(data_root=data_root), **loader)
test_dataloader = val_dataloader
model = dict(
    # Half of the features dropped: a draw that is not repeated shows.
    backbone=dict(
        pretrained_convs=None, fc_channels={channels}, dropout_ratio=0.5,
        conv_channels=(4, 8, 8, 16, 16)),
    cls_head=dict(in_channels={channels}))
optim_wrapper = dict(accumulative_counts=2)
env_cfg = dict(dist_cfg=dict(backend='gloo'))
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=2, max_keep_ckpts=2),
    logger=dict(interval=3))
"""


def make_data(folder: Path, videos: int, test_videos: int) -> Path:
    """Generate the data set, or keep the one that is there; its folder."""
    make_videos.make_videos(folder, videos, test_videos)
    return folder


def write_config(
    path: Path,
    data: Path,
    extra: str = '',
    workers: int = 2,
    channels: int = 64,
) -> Path:
    """Write a small config; its path.

    ``extra`` is Python that follows, ``channels`` the width of the FC layers,
    and so the size of a checkpoint.
    """
    base = tools_path.ROOT / 'configs/quickstart/vll_c3d_finetune.py'
    text = CONFIG.format(
        base=str(base), data=str(data), workers=workers, channels=channels
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + extra)
    return path


def prepare() -> None:
    """Make this process one that may fork, and that its orphans come to."""
    # PyTorch's own threads would not be there in a fork.
    torch.set_num_threads(1)
    os.environ['OMP_NUM_THREADS'] = '1'
    # Linux: data loading workers whose parent was killed, to wait for them.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def descendants(pid: int) -> list[int]:
    """Processes below one."""
    found = [pid]
    for one in found:
        for path in Path(f'/proc/{one}/task').glob('*/children'):
            try:
                found += map(int, path.read_text().split())
            except OSError:
                pass  # it has just ended
    return found[1:]


def kill(process: Popen, others: list[int]) -> None:
    """SIGKILL to a child and others, and wait till none is left."""
    for pid in (process.pid, *others):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    for pid in others:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass


def launch(arguments: Sequence, log: Path, processes: int) -> Popen:
    """Start ``tools/dist_train.sh``, which appends its output to a file.

    ``arguments`` are those of ``train.py``.
    """
    config, *more = map(str, arguments)
    script = str(tools_path.ROOT / 'tools/dist_train.sh')
    with open(log, 'ab') as file:
        return Popen(
            ['bash', script, config, str(processes), *more],
            env=dict(os.environ, PORT=str(free_port()), PYTHON=sys.executable),
            stdout=file,
            stderr=STDOUT,
        )


class ForkedTraining:
    """Stock ``train.py`` in forked processes, a process group.

    One is a plain process, more are ranks with gloo. The log is appended to.
    """

    def __init__(
        self, arguments: Sequence[str], log: Path, processes: int = 1
    ) -> None:
        self.arguments = ['train.py', *map(str, arguments)]
        ranks = processes > 1 or '--launcher' in self.arguments
        self.log = log
        self.started = time.monotonic()
        port = free_port()
        self.group = 0
        self.pids = []
        for rank in range(processes):
            launched = dict(
                RANK=rank,
                LOCAL_RANK=rank,
                WORLD_SIZE=processes,
                MASTER_ADDR='127.0.0.1',
                MASTER_PORT=port,
            )
            pid = os.fork()
            if not pid:
                self._run(launched if ranks else {})
            # The child does it, too: whoever comes first.
            self.group = self.group or pid
            os.setpgid(pid, self.group)
            self.pids.append(pid)
        self.status = {}

    def _run(self, launched: dict) -> None:
        code = 1
        try:
            os.setpgid(0, self.group)
            # No training without the test that started it.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(out, stream)
            os.environ.update({k: str(v) for k, v in launched.items()})
            if launched and '--launcher' not in self.arguments:
                self.arguments += ['--launcher', 'pytorch']
            sys.argv = self.arguments
            runpy.run_path(find_tool('train.py'), run_name='__main__')
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def running(self) -> bool:
        """Whether a rank still runs."""
        for pid in self.pids:
            if pid not in self.status:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    self.status[pid] = os.waitstatus_to_exitcode(status)
        return len(self.status) < len(self.pids)

    def kill(self) -> None:
        """SIGKILL to all ranks and workers, and wait till none is left."""
        try:
            os.killpg(self.group, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.reap()

    def reap(self) -> None:
        """Wait for all processes of the group."""
        while True:
            try:
                pid, status = os.waitpid(-self.group, 0)
            except ChildProcessError:
                return
            if pid in self.pids:
                self.status[pid] = os.waitstatus_to_exitcode(status)

    def wait(self, seconds: float) -> None:
        """Wait till all ranks have ended well, or raise a RuntimeError."""
        while self.running():
            if time.monotonic() - self.started > seconds:
                self.kill()
                raise RuntimeError(f'not done in {seconds} s, see {self.log}')
            time.sleep(0.02)
        self.reap()
        if any(self.status.values()):
            raise RuntimeError(f'failed {self.status}, see {self.log}')

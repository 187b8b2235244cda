"""Lets a job that torchrun starts anew go on from its own last checkpoint.

The first start is as the user asked, with or without ``--resume``. A later
one resumes if the job has saved a checkpoint since then; one that was in the
work_dir before is not the job's own. Which start is the first, TORCHELASTIC_
RESTART_COUNT does not tell: each machine counts its own failures. So the first
start leaves a note in the store by which the machines meet, which lives as
long as the job.
"""

import os
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.runner import Runner
from torch.distributed import TCPStore

KEY = 'vll_mmaction/last_checkpoint'


def resume_by_itself() -> None:
    """Have MMEngine's runner resume where the job was started anew."""
    train = Runner.train

    def resume_and_train(runner: Runner) -> Any:
        if _saved_by_this_job(runner):
            runner.logger.warning(
                'The job was started anew and resumes from its last checkpoint'
            )
            runner._resume, runner._load_from = True, None
        return train(runner)

    Runner.train = resume_and_train


def _saved_by_this_job(runner: Runner) -> bool:
    """Whether the last checkpoint is another one than at the first start."""
    found = [False]
    if is_main_process():
        host, _, port = os.environ['RESTARTS_STORE'].rpartition(':')
        store = TCPStore(host.strip('[]'), int(port), is_master=False)
        now = _last_checkpoint(Path(runner.work_dir))
        found = [store.compare_set(KEY, '', now).decode() != now]
    broadcast_object_list(found)
    return found[0]


def _last_checkpoint(work_dir: Path) -> str:
    """Name and time of the last checkpoint."""
    note = work_dir / 'last_checkpoint'
    try:
        return f'{note.read_text().strip()} {note.stat().st_mtime_ns}'
    except FileNotFoundError:
        return 'none'

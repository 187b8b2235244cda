"""Jobs that torchrun starts anew end as if nothing had happened."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from stock_tools import ROOT, free_port, small_config
from video_files import write_dataset

pytestmark = pytest.mark.skipif(
    shutil.which('setpriv') is None, reason='ranks outlive their launcher'
)

EXTRA = """
custom_imports = dict(
    imports=['vll_mmaction', 'kill_once'], allow_failed_imports=False)
custom_hooks = [*_base_.custom_hooks, dict(type='KillOnce')]
"""


@pytest.fixture(scope='module')
def job(tmp_path_factory):
    """Config of a job of 2 processes, and its last checkpoint."""
    folder = tmp_path_factory.mktemp('job')
    write_dataset(folder, [4, 30, 9, 17, 3, 23])
    config = small_config(
        folder / 'config.py', 'vll_c3d_ucf101.py', folder, extra=EXTRA
    )
    whole = folder / 'whole'
    launcher = launch(config, whole, 2)
    said, _ = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, said
    return config, whole


def launch(config, work_dir, processes, **environment):
    """Start ``tools/dist_train.sh``; a machine of its own if it is told so."""
    words = 'dist_train.sh', config, processes, '--seed', 5, '--work-dir'
    return subprocess.Popen(
        ['bash', ROOT / 'tools' / words[0], *map(str, words[1:]), work_dir],
        env={
            **os.environ,
            'PYTHON': sys.executable,
            'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "tests"}',
            'OMP_NUM_THREADS': '1',
            'PORT': str(free_port()),
            'KILLED': f'{work_dir}.killed',
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def assert_same_weights(work_dir, whole):
    wanted, found = (
        torch.load(folder / 'epoch_2.pth', map_location='cpu')['state_dict']
        for folder in (whole, work_dir)
    )
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_a_killed_rank(job, tmp_path):
    config, whole = job
    # Checkpoints of another run, which is done, are not the job's own.
    work_dir = shutil.copytree(whole, tmp_path / 'work')
    launcher = launch(config, work_dir, 2, RESTARTS='1', KILL='rank')
    said, _ = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, said
    assert (tmp_path / 'work.killed').exists()
    assert 'started anew and resumes' in said
    assert 'resumed epoch: 1, iter: 2' in said
    assert_same_weights(work_dir, whole)


def test_a_killed_launcher_that_is_launched_again(job, tmp_path):
    """Two machines, of which one fails."""
    config, whole = job
    work_dir = tmp_path / 'work'
    shared = dict(RESTARTS='1', NNODES='2', PORT=str(free_port()))
    first = launch(config, work_dir, 1, NODE_RANK='0', **shared)
    shared.update(NODE_RANK='1')
    second = launch(config, work_dir, 1, KILL='launcher', **shared)
    try:
        assert second.wait(300) == -9
        second = launch(config, work_dir, 1, KILL='launcher', **shared)
        said, _ = first.communicate(timeout=300)
        assert first.returncode == 0, said
        assert second.wait(60) == 0
    finally:
        for launcher in (first, second):
            launcher.kill()
    assert 'started anew and resumes' in said
    assert_same_weights(work_dir, whole)

"""The quickstart in its small form: the same path, few videos, one epoch."""

import os
import subprocess
import sys

import cv2
import pytest
from stock_tools import ROOT

from vll_mmaction.evaluation import load_clip_results


def quickstart(*args, **env):
    return subprocess.run(
        ['bash', str(ROOT / 'tools/quickstart.sh'), *args],
        env=dict(os.environ, **env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def test_small_form(tmp_path):
    kept = [ROOT / 'data/quickstart', ROOT / 'work_dirs/quickstart']
    before = [path.exists() and path.stat().st_mtime_ns for path in kept]
    data, work = tmp_path / 'videos', tmp_path / 'work'
    run = quickstart(
        '--small',
        '--python',
        sys.executable,
        DATA=str(data),
        WORK=str(work),
        OMP_NUM_THREADS='1',
    )
    assert run.returncode == 0, run.stdout[-5000:]
    for row in ('clip-level, trained on', 'video-level, fine-tuned', 'chance'):
        assert row in run.stdout
    assert len((data / 'train.txt').read_text().splitlines()) == 24
    assert cv2.imread(str(work / 'curves.png')) is not None
    for name in ('clip_c3d_finetune', 'vll_c3d_finetune'):
        assert (work / name / 'epoch_1.pth').is_file()
        assert (
            len(load_clip_results(str(work / name / 'clip_results.npz'))) == 8
        )
    after = [path.exists() and path.stat().st_mtime_ns for path in kept]
    assert after == before


@pytest.mark.parametrize('args', [['--tiny'], ['--small', 'data']])
def test_unknown_arguments_are_answered_with_the_usage(args):
    run = quickstart(*args)
    assert run.returncode == 2
    assert run.stdout.startswith('Usage: quickstart.sh [--small]')

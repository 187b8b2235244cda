"""The stress tests of training in small: killed and resumed, leaks."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import kill_resume
import leaks
import torch
from mmengine.config import Config

from vll_mmaction.datasets import ClipDatasetMixin

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'tests/stress'


def test_killed_and_resumed_is_equal(tmp_path):
    words = ['--work', tmp_path, '--cases', '1', '--kills', '2']
    run = subprocess.run(
        [sys.executable, FOLDER / 'kill_resume.py', *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-5000:]
    (row,) = [
        line for line in run.stdout.splitlines() if '| epochs, 1' in line
    ]
    cells = [cell.strip() for cell in row.split('|')[1:-1]]
    assert int(cells[2]) >= 2 and cells[-1] == 'yes'


def test_a_difference_shows():
    """Not even the last bit gets lost in the comparison."""
    weight = torch.ones(3)
    other = weight.clone()
    other[1] = torch.nextafter(other[1], torch.tensor(2.0))
    states = [
        kill_resume.flatten(
            dict(optimizer=dict(state=[w, 0]), meta=dict(time=time))
        )
        for w, time in ((weight, 1), (weight.clone(), 2), (other, 1))
    ]
    names = {'.optimizer.state.0', '.optimizer.state.1'}
    assert all(state.keys() == names for state in states)
    equal = [
        all(kill_resume.same(state[name], states[0][name]) for name in names)
        for state in states
    ]
    assert equal == [True, True, False]


def test_a_leak_shows():
    flat = [dict(main=(100 + e % 2, 5, 20)) for e in range(20)]
    assert leaks.judge(flat, 5)[1]
    more = [dict(main=(100 + e, 5, 20)) for e in range(20)]
    rows, good = leaks.judge(more, 5)
    assert not good and [row[-1] for row in rows] == ['GROWS', 'flat', 'flat']
    files = [dict(main=(100, 5, 20 + e // 19)) for e in range(20)]
    assert not leaks.judge(files, 5)[1]


def test_what_a_process_holds():
    before = leaks.measure(os.getpid())
    with open(__file__, encoding='utf-8'):
        held = bytearray(os.urandom(1)) * (256 << 20)
        after = leaks.measure(os.getpid())
    assert len(held) == 256 << 20
    assert after[0] - before[0] > 150 and after[2] == before[2] + 1


def test_a_video_that_hangs_is_named_before_the_ranks_give_up():
    config = Config.fromfile(ROOT / 'configs/vll_c3d_ucf101.py')
    options = inspect.signature(ClipDatasetMixin).parameters
    limit = options['max_read_seconds'].default
    assert limit < config.env_cfg.dist_cfg.timeout <= 1800

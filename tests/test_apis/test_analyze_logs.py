"""MMAction2's analyze_logs.py on logs of MMEngine and on old ones."""

import json
import subprocess
import sys

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
from small_runner import small_runner
from video_files import write_dataset

from vll_mmaction.__main__ import find_tool
from vll_mmaction.apis import analyze_logs

TOOL = 'analysis_tools/analyze_logs.py'


def write_log(path, lines):
    path.write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return str(path)


def draw(monkeypatch, log, *keys):
    """Run the tool; the lines it draws."""
    tool = find_tool(TOOL)
    args = [tool, 'plot_curve', log, '--out', log + '.png', '--keys', *keys]
    monkeypatch.setattr(sys, 'argv', args)
    monkeypatch.setattr(plt, 'cla', lambda: None)
    plt.close('all')
    analyze_logs.run(tool)
    lines = [line.get_xydata() for line in plt.gca().get_lines()]
    plt.close('all')
    return lines


def test_curves_of_a_training(tmp_path):
    write_dataset(tmp_path, [4, 30, 9, 17, 3, 23])
    runner = small_runner(
        tmp_path, tmp_path, 'train_cfg = dict(max_epochs=2, val_interval=1)'
    )
    runner.train()
    (log,) = tmp_path.rglob('scalars.json')
    picture = tmp_path / 'curves.png'
    command = [sys.executable, '-m', 'vll_mmaction', TOOL, 'plot_curve', log]
    command += ['--keys', 'loss_ce', 'agreement', 'acc/top1']
    run = subprocess.run(
        [*map(str, command), '--out', str(picture)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert cv2.imread(str(picture)).std() > 0


def test_points_of_the_curves(tmp_path, monkeypatch):
    log = write_log(
        tmp_path / 'scalars.json',
        [
            dict(loss=4.0, epoch=1, iter=20, step=20),
            dict(loss=3.0, epoch=1, iter=30, step=30),
            {'acc/top1': 0.25, 'time': 0.1, 'step': 1},
            # The second epoch was cut off.
            dict(loss=2.0, epoch=2, iter=50, step=50),
            {'acc/top1': 0.5, 'time': 0.1, 'step': 2},
        ],
    )
    loss, accuracy = draw(monkeypatch, log, 'loss', 'acc/top1')
    np.testing.assert_array_equal(loss, [[20, 4], [30, 3], [50, 2]])
    wanted = [[20, np.nan], [30, 0.25], [50, 0.5]]
    np.testing.assert_array_equal(accuracy, wanted)


def test_a_loop_by_iterations_logs_no_epoch(tmp_path, monkeypatch):
    lines = [dict(loss=5.0 - i, iter=10 * i, step=10 * i) for i in (1, 2, 3)]
    log = write_log(tmp_path / 'scalars.json', lines)
    (loss,) = draw(monkeypatch, log, 'loss')
    np.testing.assert_array_equal(loss, [[10, 4], [20, 3], [30, 2]])


def test_old_logs_are_left_to_the_tool(tmp_path, monkeypatch):
    lines = [
        dict(mode='train', epoch=epoch, iter=i, loss=5 - epoch - i / 10)
        for epoch in (1, 2)
        for i in (1, 2)
    ]
    log = write_log(tmp_path / 'old.json', lines)
    (loss,) = draw(monkeypatch, log, 'loss')
    np.testing.assert_allclose(loss, [[1, 3.9], [2, 3.8], [3, 2.9], [4, 2.8]])


def test_what_is_not_in_the_log_is_named(tmp_path, monkeypatch):
    log = write_log(tmp_path / 'a.json', [dict(loss=1.0, iter=1, step=1)])
    with pytest.raises(SystemExit, match="a.json has no 'top1': loss, iter"):
        draw(monkeypatch, log, 'top1')
    log = write_log(tmp_path / 'b.json', [{'acc/top1': 0.5, 'step': 1}])
    with pytest.raises(SystemExit, match='no line of a training iteration'):
        draw(monkeypatch, log, 'acc/top1')

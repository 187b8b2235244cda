"""A folder in which the pages' commands run within seconds on a CPU.

Configs, tools and docs are copies of the repository's; of the configs a
smaller network, smaller frames and fewer workers are all that differs. One
process trains where a page has two: ``tests/test_tools/test_dist_scripts.py``
and others start several. Data sets lie where the pages have them, a few real
videos each. One small run of the quickstart is there for the pages that look
at it.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mmaction.registry
import numpy as np
import pytest
import torch
from data_sets import write_archives
from made_results import made_results
from mmengine.registry import Registry
from stock_tools import ROOT
from video_files import write_video

from vll_mmaction.evaluation import save_clip_results
from vll_mmaction.models.heads import voting

# What is written otherwise in the copies of the configs.
SMALLER = {
    '_base_/models/c3d_lite.py': {
        "type='C3DLite'": "type='C3DLite', conv_channels=(4, 4, 8, 8, 8),"
        'fc_channels=16, input_size=(16, 32, 32)',
        'in_channels=4096': 'in_channels=16',
    },
    '_base_/datasets/ucf101.py': {
        'size=112': 'size=32',
        'scale=(-1, 128)': 'scale=(-1, 36)',
        'num_workers=8': 'num_workers=1',
    },
    'quickstart/clip_c3d.py': {
        'conv_channels=(8, 16, 32, 64, 64)': 'conv_channels=(4, 4, 8, 8, 8)',
        'fc_channels=128': 'fc_channels=16',
        'in_channels=128': 'in_channels=16',
        'size = 40': 'size = 32',
        'max_epochs=6, val_interval=1': 'max_epochs=6, val_interval=20',
    },
    'fights/clip_c3d.py': {
        'size = 40': 'size = 32',
        'scale=(-1, 48)': 'scale=(-1, 36)',
    },
}
QUICKSTART = """
python tools/quickstart/make_videos.py data/quickstart --videos 16 \
    --test-videos 8
run=work_dirs/quickstart/vll_c3d_finetune
bash tools/dist_train.sh configs/quickstart/vll_c3d_finetune.py 0 \
    --work-dir $run --cfg-options model.backbone.pretrained_convs=None
bash tools/dist_test.sh configs/quickstart/vll_c3d_finetune.py \
    $run/epoch_4.pth 0 --work-dir $run/test \
    --cfg-options test_evaluator.1.out_file=$run/clip_results.npz
"""


# What the pages' Python takes for granted.
NAMES = dict(
    config='configs/quickstart/vll_c3d_finetune.py',
    checkpoint='work_dirs/quickstart/vll_c3d_finetune/epoch_4.pth',
)
PROJECT = 'my_project.py'


class CommandFailed(Exception):
    """A command ended with another status than 0; has its output."""


def run(script: str, folder: Path, leave_out: tuple = ()) -> None:
    """Run a shell script as a reader would, in bash.

    Commands that begin like one of ``leave_out`` are not run; one that fails
    raises a ``CommandFailed``.
    """
    # With an empty path each program comes to this function, in a process of
    # its own.
    patterns = '|'.join(shlex.quote(words) + '*' for words in leave_out)
    case = f'{patterns}) exit 0;;' if patterns else ''
    wrapped = f"""
        command_not_found_handle() {{
            case "$*" in {case} esac
            case "$1 ${{2-}}" in
                *tools/dist_train.sh) set -- "${{@:1:3}}" 0 "${{@:5}}";;
                *tools/dist_test.sh) set -- "${{@:1:4}}" 0 "${{@:6}}";;
            esac
            export PATH=$PATH_OF_PROGRAMS
            exec "$@"
        }}
        set -eu
        {script}"""
    done = subprocess.run(
        [shutil.which('bash'), '-c', wrapped],
        cwd=folder,
        env=dict(
            os.environ,
            PATH='/nowhere',
            PATH_OF_PROGRAMS=f'{folder / "bin"}:{os.environ["PATH"]}',
            OMP_NUM_THREADS='1',
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    if done.returncode:
        raise CommandFailed(done.stdout[-3000:])


@contextmanager
def entered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be in a folder, also for imports; what is registered there stays."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(voting.VOTE_RULES, 'weighted', None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    project = PROJECT.split('.')[0]
    sys.modules.pop(project, None)
    for registry in vars(mmaction.registry).values():
        if isinstance(registry, Registry):
            for name, kind in list(registry.module_dict.items()):
                if kind.__module__ in ('__main__', project):
                    del registry.module_dict[name]


def make(folder: Path) -> None:
    """Fill an empty folder."""
    for name in ('configs', 'docs', 'tools'):
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name, others in SMALLER.items():
        path = folder / 'configs' / name
        text = path.read_text()
        for old, new in others.items():
            assert old in text, f'{name} has no {old}'
            text = text.replace(old, new)
        path.write_text(text)
    python = folder / 'bin/python'
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -W ignore "$@"\n')
    python.chmod(0o755)

    data = folder / 'data'
    write_archives(data)
    write_video(folder / 'video.mp4', 40, fourcc='mp4v')
    for name in ('jump', 'run'):
        for number, length in enumerate((20, 33, 18, 40, 25)):
            write_video(data / f'my_videos/videos/{name}/{number}.avi', length)
    run('python tools/data/ucf101/prepare.py data/ucf101', folder)
    run(QUICKSTART, folder)
    _write_other_results(folder / 'work_dirs')


def _write_other_results(folder: Path) -> None:
    """Stand-ins for what trainings not run here leave behind."""
    own = folder / 'quickstart/vll_c3d_finetune'
    clip = folder / 'quickstart/clip_c3d_finetune'
    clip.mkdir()
    shutil.copy(own / 'clip_results.npz', clip)
    (folder / 'quickstart/clip_c3d').mkdir()
    shutil.copy(
        own / 'epoch_4.pth', folder / 'quickstart/clip_c3d/epoch_6.pth'
    )
    # Results of both models on the three videos of Figures 7 and 8.
    names = ('ApplyEyeMakeup', 'ApplyLipstick', 'BabyCrawling')
    rng = np.random.default_rng(0)
    results = made_results(
        rng.dirichlet((1, 1), 48),
        (16, 16, 16),
        labels=np.array([0, 1, 1]),
        filenames=np.array([f'v_{x}_g01_c01.avi' for x in names]),
    )
    for level in ('clip', 'vll'):
        name = f'experiments/{level}_c3d_ucf101_finetune/split1_seed0'
        (folder / name).mkdir(parents=True)
        save_clip_results(str(folder / name / 'clip_results.npz'), results)

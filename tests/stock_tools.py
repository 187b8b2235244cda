"""Runs MMAction2's own train.py and test.py, through our launch scripts."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# What makes a config of ours train within seconds on a CPU.
SMALL = """
_base_ = {base!r}
train_pipeline = [
    dict(type='DecordInit'),
    dict(type='SampleVideoClips', clip_len=4),
    dict(type='DecordDecode'),
    dict(type={crop!r}, {size}=32),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='DecordInit'),
    dict(type='SampleVideoClips', clip_len=4),
    dict(type='DecordDecode'),
    dict(type='CenterCrop', crop_size=32),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(
        type='PackActionInputs',
        meta_keys=('filename', 'frame_inds', 'total_frames', 'num_clips'),
    ),
]
dataset = dict(
    ann_file='ann.txt', data_root={data_root!r},
    data_prefix=dict(video='videos'))
loader = dict(num_workers=1, persistent_workers=True)
train_dataloader = dict(
    dataset=dict(pipeline=train_pipeline, num_classes=2, **dataset), **loader)
val_dataloader = dict(
    dataset=dict(pipeline=test_pipeline, **dataset), **loader)
test_dataloader = val_dataloader
model = dict(
    backbone=dict(
        conv_channels=(4, 4, 8, 8, 8), fc_channels=16, input_size=(4, 32, 32)),
    cls_head=dict(num_classes=2, in_channels=16))
optim_wrapper = dict(accumulative_counts=1)
train_cfg = dict(max_epochs=2, val_interval=2)
log_level = 'INFO'
"""


def small_config(path, base, data_root, crop='RandomCrop', extra=''):
    """Write a config that makes one of ours small.

    Args:
        path (pathlib.Path): File to write.
        base (str): Name of a config in ``configs``.
        data_root (str | os.PathLike): Folder of ``write_dataset``.
        crop (str): ``'RandomCrop'`` or ``'CenterCrop'`` for training.
        extra (str): Python that follows.

    Returns:
        str: The path.
    """
    text = SMALL.format(
        base=str(ROOT / 'configs' / base),
        data_root=str(data_root),
        crop=crop,
        size='size' if crop == 'RandomCrop' else 'crop_size',
    )
    path.write_text(text + extra)
    return str(path)


class ToolFailed(AssertionError):
    """A tool failed; the message is the end of its output.

    Args:
        output (str): All that it printed.
    """

    def __init__(self, output):
        super().__init__(output[-5000:])
        self.output = output


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as connection:
        connection.bind(('', 0))
        return connection.getsockname()[1]


def run_tool(name, *args, cwd, **env):
    """Run ``tools/dist_train.sh`` or ``tools/dist_test.sh``.

    Args:
        name (str): ``'dist_train.sh'`` or ``'dist_test.sh'``.
        args: Its arguments.
        cwd (str | os.PathLike): Folder to run in.
        env: Environment variables. PORT is one that is free.

    Returns:
        str: What it printed.

    Raises:
        ToolFailed: It failed.
    """
    run = subprocess.run(
        ['bash', str(ROOT / 'tools' / name), *map(str, args)],
        cwd=cwd,
        env=dict(
            os.environ,
            OMP_NUM_THREADS='1',
            PORT=str(free_port()),
            # The environment of the tests need not be an active one.
            PYTHON=sys.executable,
            **env,
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    if run.returncode:
        raise ToolFailed(run.stdout)
    return run.stdout

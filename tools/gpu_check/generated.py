"""Generated videos of 112×112, and the quickstart's configs for them."""

import argparse
import fcntl
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
for folder in ('benchmarks', 'quickstart'):
    sys.path.append(str(ROOT / 'tools' / folder))

import make_videos  # noqa: E402

CONFIG = """
_base_ = {base!r}
_base_.train_pipeline[2].transforms[0].size = {size}
_base_.test_pipeline[2].transforms[0].crop_size = {size}
loader = dict(
    num_workers={workers}, persistent_workers=True, pin_memory={cuda})
train_dataloader = dict(
    dataset=dict(data_root={data!r}, pipeline=_base_.train_pipeline), **loader)
val_dataloader = dict(
    dataset=dict(data_root={data!r}, pipeline=_base_.test_pipeline), **loader)
test_dataloader = val_dataloader
model = dict(
    backbone=dict(
        conv_channels={channels}, fc_channels={width},
        input_size=(16, {size}, {size})),
    cls_head=dict(in_channels={width}))
"""


def arguments(description: str) -> argparse.Namespace:
    """The command line of both scripts: ``--work`` and ``--quick``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--work', type=Path, required=True)
    parser.add_argument('--quick', action='store_true')
    return parser.parse_args()


def make_data(work: Path, quick: bool) -> Path:
    """Make the videos, or keep those that are there; their folder.

    In a quick run they are few, and as small as the quickstart's.
    """
    folder = work / 'videos'
    # In a quick run both scripts come at the same time.
    with open(work / 'videos.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if quick:
            make_videos.make_videos(folder, 8, 4)
        else:
            make_videos.WIDTH = make_videos.HEIGHT = 112
            make_videos.make_videos(folder, 240, 104)
    return folder


def write_config(
    path: Path, base: str, data: Path, quick: bool, extra: str = ''
) -> Path:
    """Write a config of full width, with a worker a core, less one.

    Args:
        path (Path): File to write.
        base (str): Name of a config of the quickstart.
        data (Path): Folder of :func:`make_data`.
        quick (bool): A narrow network for small frames, and one worker.
        extra (str): Python that follows.

    Returns:
        Path: The file.
    """
    import torch

    narrow = 16 if quick else 1
    text = CONFIG.format(
        base=str(ROOT / 'configs/quickstart' / f'{base}.py'),
        size=40 if quick else 112,
        data=str(data),
        workers=1 if quick else max(1, len(os.sched_getaffinity(0)) - 1),
        cuda=torch.cuda.is_available(),
        channels=tuple(c // narrow for c in (64, 128, 256, 256, 256)),
        width=4096 // narrow,
    )
    path.write_text(text + extra, encoding='utf-8')
    return path

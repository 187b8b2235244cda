"""Strips of thumbnails, one a video: a frame of each clip.

A strip is a JPEG file whose name is a digest of the video's name, size, time
and frames: one that is there is up to date. Strips are made by subprocesses
(``thumbnail_worker.py``), each video being gone through once.
"""

import hashlib
import json
import os
import os.path as osp
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from rich.console import Console
from rich.progress import track

from ..evaluation import ClipResults

FORMAT = 2
"""Raised whenever strips are made in another way."""
SECONDS_A_VIDEO = 60
MOST_JOBS = 32
"""Videos of a subprocess, at most."""
WORKER = osp.join(osp.dirname(__file__), 'thumbnail_worker.py')
OURS = '[0-9a-f]' * 24 + '.jpg*'
"""Names of strips, and of those that were cut short."""


class Strip(NamedTuple):
    """The thumbnails of a video: a file's name, or why there is none."""

    name: str = ''
    reason: str = ''


def clip_frames(results: ClipResults, video: int) -> Optional[np.ndarray]:
    """The middle frame of each clip of a video, (clips,) int64.

    None where the results do not hold the clips' frames.
    """
    first, end = results.frame_offsets[video : video + 2]
    rows = np.diff(results.video_offsets[video : video + 2])[0]
    clips, rest = divmod(rows, results.views_per_clip[video])
    if first == end or rest or (end - first) % clips:
        return None
    frames = results.frame_inds[first:end].reshape(clips, -1)
    return frames[:, frames.shape[1] // 2]


def common_folder(names: Sequence[str]) -> str:
    """The folder that all videos share, ``''`` if there is none."""
    try:
        return osp.commonpath([osp.dirname(name) for name in names])
    except ValueError:  # absolute and relative paths
        return ''


def find_videos(names: Sequence[str], root: str = '') -> list[str]:
    """Where the videos of the results are, if they are there.

    A root takes the place of the folder that all the paths share.
    """
    if not root:
        return list(names)
    start = common_folder(names) or osp.curdir
    return [osp.join(root, osp.relpath(x, start)) if x else x for x in names]


def make_strips(
    names: Sequence[str],
    paths: Sequence[str],
    frames: Sequence[Optional[np.ndarray]],
    folder: Path,
    num_workers: Optional[int] = None,
    seconds: float = SECONDS_A_VIDEO,
) -> list[Strip]:
    """Make the strips of videos that are not there yet.

    Args:
        names (Sequence[str]): Names of the videos, which go into the digest.
        paths (Sequence[str]): Their files, or folders of images.
        frames (Sequence[ndarray | None]): Frames of each, ascending, each
            once; None where they are not known.
        folder (Path): Folder of strips; made where there is none.
        num_workers (int, optional): Number of subprocesses. None means one a
            CPU core, at most 16.
        seconds (float): Time limit a video, in seconds.

    Returns:
        list[Strip]: One a video.
    """
    folder.mkdir(parents=True, exist_ok=True)
    strips = list(map(_name_strip, names, paths, frames))
    jobs = {
        strip.name: [path, wanted.tolist(), str(folder / strip.name)]
        for strip, path, wanted in zip(strips, paths, frames)
        if wanted is not None
        and strip.name
        and not (folder / strip.name).exists()
    }
    failed = _run(jobs, num_workers or min(16, os.cpu_count() or 1), seconds)
    return [
        Strip(reason=failed[x.name]) if failed.get(x.name) else x
        for x in strips
    ]


def _name_strip(name: str, path: str, frames: Optional[np.ndarray]) -> Strip:
    if not path:
        return Strip(reason='the results hold no file names')
    if frames is None:
        return Strip(reason='the results hold no frame numbers')
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return Strip(reason='there is no such file')
    key = [FORMAT, name, stat.st_size, stat.st_mtime_ns, *frames.tolist()]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return Strip(f'{digest[:24]}.jpg')


def _run(
    jobs: dict[str, list], num_workers: int, seconds: float
) -> dict[str, str]:
    """Make strips, with a progress bar; reasons of those that failed."""
    names = list(jobs)
    size = min(MOST_JOBS, -(-len(names) // num_workers)) or 1
    parts = [names[k : k + size] for k in range(0, len(names), size)]
    reasons: dict[str, str] = {}
    # A thread a subprocess, which waits for its answers.
    pool = ThreadPoolExecutor(num_workers)
    try:
        futures = {
            pool.submit(_answers, [jobs[x] for x in part], seconds): part
            for part in parts
        }
        for future in track(
            as_completed(futures),
            'thumbnails',
            len(futures),
            console=Console(stderr=True),
            disable=not futures,
        ):
            reasons.update(zip(futures[future], future.result()))
    finally:
        # Also if the user stops it: what is done is used again.
        pool.shutdown(wait=False, cancel_futures=True)
    return reasons


def _answers(jobs: list[list], seconds: float) -> list[str]:
    """Have strips made; for each why there is none, or ''."""
    reasons: list[str] = []
    while len(reasons) < len(jobs):
        lines = [json.dumps(job) for job in jobs[len(reasons) :]]
        process = subprocess.run(
            [sys.executable, WORKER, str(seconds)],
            input='\n'.join(lines),
            stdout=subprocess.PIPE,
            # Decoders chat about every flaw; the reason is in the answer.
            stderr=subprocess.DEVNULL,
            text=True,
        )
        reasons += map(json.loads, process.stdout.splitlines())
        code = process.returncode
        if code == -signal.SIGINT:
            break  # the user's Ctrl-C reached it, too
        if code < 0:
            reasons.append(f'the decoder crashed on it (signal {-code})')
        elif code > 0:
            reasons.append(f'the decoder hung on it ({seconds:g} s)')
    return reasons


def remove_others(folder: Path, strips: Sequence[Strip]) -> None:
    """Remove other strips: of earlier reports, or cut short."""
    keep = {strip.name for strip in strips}
    for file in folder.glob(OURS):
        if file.name not in keep:
            file.unlink()

"""Strips of thumbnails, one a video: a frame of each clip.

A strip is a JPEG file whose name is a digest of the video's name, size, time
and frames: one that is there is up to date. Strips are made by subprocesses
(``thumbnail_worker.py``), each video being gone through once.
"""

import hashlib
import json
import os
import os.path as osp
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Optional

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from ..evaluation import ClipResults

FORMAT = 1
"""Raised whenever strips are made in another way."""
COLUMNS = 20
"""Frames in a row of a strip."""
SECONDS_A_VIDEO = 60
WORKER = osp.join(osp.dirname(__file__), 'thumbnail_worker.py')
OURS = re.compile(r'[0-9a-f]{24}\.jpg(\.tmp)?')
"""Names of strips, and of those that were cut short."""


@dataclass(frozen=True)
class Strip:
    """The thumbnails of a video, or why there are none.

    Attributes:
        name (str): File in the folder of strips, ``''`` if there is none.
        columns (int): Frames in a row.
        rows (int): Rows.
        aspect (float): Width of a frame by its height.
        reason (str): Why there is no strip, ``''`` if there is one.
    """

    name: str = ''
    columns: int = 1
    rows: int = 1
    aspect: float = 4 / 3
    reason: str = ''


def clip_frames(results: ClipResults, video: int) -> Optional[np.ndarray]:
    """The middle frame of each clip of a video.

    Args:
        results (ClipResults): Per-clip results.
        video (int): Number of the video.

    Returns:
        ndarray, optional: (clips,) int64; None where the results do not hold
        the clips' frames.
    """
    first, end = results.frame_offsets[video : video + 2]
    rows = np.diff(results.video_offsets[video : video + 2])[0]
    clips, rest = divmod(rows, results.views_per_clip[video])
    if first == end or rest or (end - first) % clips:
        return None
    frames = results.frame_inds[first:end].reshape(clips, -1)
    return frames[:, frames.shape[1] // 2]


def find_videos(names: Sequence[str], root: str = '') -> list[str]:
    """Where the videos are.

    Args:
        names (Sequence[str]): Paths in the results.
        root (str): Folder of the videos. If given, it takes the place of the
            first folders of the paths: of as many as finds most videos.

    Returns:
        list[str]: A path each, of a file that may be missing.
    """
    if not root:
        return list(names)
    parts = [_relative(name).parts for name in names]
    best, most = list(names), -1
    for start in range(max(map(len, parts))):
        rest = [x[start:] for x in parts]
        if len(set(rest)) < len(set(parts)) or not all(rest):
            break  # two videos would be one
        paths = [osp.join(root, *x) for x in rest]
        found = sum(map(osp.exists, paths))
        if found > most:
            best, most = paths, found
    return best


def _relative(name: str) -> PurePath:
    """A path without `/` or `../` at its start."""
    path = PurePath(osp.normpath(name))
    parts = path.relative_to(path.anchor).parts
    return PurePath(*(x for x in parts if x != osp.pardir))


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
    files: list[str] = []
    reasons: dict[int, str] = {}
    jobs: dict[str, dict] = {}
    for name, path, wanted in zip(names, paths, frames):
        file, reason = _file_name(name, path, wanted)
        files.append(file)
        if not file:
            reasons[len(files) - 1] = reason
        elif wanted is not None and not (folder / file).exists():
            jobs[file] = dict(
                video=path,
                frames=wanted.tolist(),
                columns=COLUMNS,
                out=str(folder / file),
            )
    failed = dict(_run(jobs, num_workers, seconds))
    strips = []
    for number, (file, wanted) in enumerate(zip(files, frames)):
        why = reasons.get(number) or failed.get(file) or ''
        if why or wanted is None:
            strips.append(Strip(reason=why))
        else:
            strips.append(_read_strip(folder, file, len(wanted)))
    return strips


def _file_name(
    name: str, path: str, frames: Optional[np.ndarray]
) -> tuple[str, str]:
    """Name of a strip, and the reason if it cannot be made."""
    if not path:
        return '', 'the results hold no file names'
    if frames is None:
        return '', 'the results hold no frame numbers'
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return '', 'there is no such file'
    key = [FORMAT, name, stat.st_size, stat.st_mtime_ns, *frames.tolist()]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    return f'{digest[:24]}.jpg', ''


def _read_strip(folder: Path, file: str, count: int) -> Strip:
    with Image.open(folder / file) as image:
        width, height = image.size  # of the header: nothing is decoded
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    aspect = (width / columns) / (height / rows)
    return Strip(file, columns, rows, aspect)


class _Worker:
    """One subprocess, started when there is something to do."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.process: Optional[subprocess.Popen] = None

    def make(self, job: dict) -> str:
        """Have a strip made; why there is none, or ''."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Decoders chat about every flaw; the reason is in the answer.
                stderr=subprocess.DEVNULL,
            )
        process = self.process
        assert process.stdin and process.stdout
        hung = threading.Event()

        def stop() -> None:
            hung.set()
            process.kill()

        timer = threading.Timer(self.seconds, stop)
        timer.start()
        try:
            process.stdin.write(json.dumps(job).encode() + b'\n')
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b''
        finally:
            timer.cancel()
        if line:
            return json.loads(line)['reason']
        self.stop()
        if hung.is_set():
            return f'the decoder hung on it ({self.seconds:g} s)'
        code = process.returncode
        how = f'signal {-code}' if code < 0 else f'exit code {code}'
        return f'the decoder crashed on it ({how})'

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.communicate()


def _run(
    jobs: dict[str, dict], num_workers: Optional[int], seconds: float
) -> Iterator[tuple[str, str]]:
    """Make strips, with a progress bar; yields file and reason of failures."""
    if not jobs:
        return
    if num_workers is None:
        num_workers = min(16, os.cpu_count() or 1)
    workers = [_Worker(seconds) for _ in range(min(num_workers, len(jobs)))]
    idle: queue.SimpleQueue = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def make(job: dict) -> str:
        worker = idle.get()
        try:
            return worker.make(job)
        finally:
            idle.put(worker)

    columns = (
        TextColumn('thumbnails'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # A thread a subprocess, which waits for its answers.
    pool = ThreadPoolExecutor(len(workers))
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task('', total=len(jobs))
            futures = {pool.submit(make, x): file for file, x in jobs.items()}
            for future in as_completed(futures):
                progress.advance(task)
                if future.result():
                    yield futures[future], future.result()
    finally:
        # Also if the user stops it: what is done is used again.
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.stop()


def remove_others(folder: Path, strips: Sequence[Strip]) -> None:
    """Remove strips of earlier reports and those that were cut short.

    Args:
        folder (Path): Folder of strips.
        strips (Sequence[Strip]): Those to keep.
    """
    keep = {strip.name for strip in strips}
    for entry in folder.iterdir():
        if OURS.fullmatch(entry.name) and entry.name not in keep:
            entry.unlink()

"""Who counts frames: subprocesses, since decoders crash and hang on bad files.

A thread waits for each of them, which works wherever Python does.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Callable, Optional, Union

import numpy as np

from .video_facts import KeyPacket, VideoFacts

Stamp = tuple[int, int]
MISSING: Stamp = (-1, -1)


def file_stamp(path: Union[str, bytes]) -> Stamp:
    """Size in bytes and modification time in ns of a file.

    Args:
        path (str | bytes): The file.

    Returns:
        tuple[int, int]: (-1, -1) if it cannot be read.
    """
    try:
        status = os.stat(path)
        # Rights can be given without a change of the file's time. Asked for
        # only where the mode leaves it open.
        readable = status.st_mode & 0o444 == 0o444 or os.access(path, os.R_OK)
    except (OSError, ValueError):  # ValueError: a null character
        return MISSING
    return (status.st_size, status.st_mtime_ns) if readable else MISSING


def file_stamps(paths: Iterable[bytes]) -> np.ndarray:
    """:func:`file_stamp` of many files.

    Args:
        paths (Iterable[bytes]): The files.

    Returns:
        np.ndarray: (n, 2) int64.
    """
    found, paths = [np.empty((0, 2), np.int64)], iter(paths)
    while chunk := list(islice(paths, 1000)):
        try:
            stats = chain.from_iterable(map(_STAMP, map(os.stat, chunk)))
            stamps = np.fromiter(stats, np.int64).reshape(-1, 3)
            plain = bool((stamps[:, 0] & 0o444 == 0o444).all())
        except (OSError, ValueError):
            plain = False
        if not plain:
            # One file that cannot be read costs its chunk the short way.
            stamps = np.array(list(map(file_stamp, chunk)), np.int64)
        found.append(stamps[:, -2:])
    return np.concatenate(found)


_STAMP = attrgetter('st_mode', 'st_size', 'st_mtime_ns')


def seconds_for(stamp: Stamp) -> float:
    """Time limit for decoding a file to its end, far above what it takes."""
    return 60 + 2e-6 * max(stamp[0], 0)


class Prober:
    """A subprocess that probes one video after the other."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name('probe_worker.py'))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Decoders chat about every flaw; the reason is in the answer.
            stderr=subprocess.DEVNULL,
        )
        self._hung = False

    @property
    def alive(self) -> bool:
        """bool: Whether it can probe another video."""
        return not self._hung and self.process.poll() is None

    def probe(self, video: str, count: str, seconds: float) -> VideoFacts:
        """Probe a video.

        Args:
            video (str): Its path.
            count (str): ``'decode'`` or ``'packets'``.
            seconds (float): Time limit, in seconds.

        Returns:
            VideoFacts: What was found, or that the decoder failed.
        """
        alarm = threading.Timer(seconds, self._give_up)
        alarm.daemon = True
        alarm.start()
        try:
            line = self._ask(video, count)
        finally:
            alarm.cancel()
            alarm.join()
        if line:
            answer = json.loads(line)
            keys = tuple(KeyPacket(*key) for key in answer.pop('keys'))
            return VideoFacts(**answer, keys=keys)
        code = self.process.wait()
        if self._hung:
            reason = f'the decoder hung on it ({seconds:g} s)'
        else:
            how = f'signal {-code}' if code < 0 else f'exit code {code}'
            reason = f'the decoder crashed on it ({how})'
        return VideoFacts(reason=reason)

    def _ask(self, video: str, count: str) -> bytes:
        """The answer; empty if the process has ended."""
        assert self.process.stdin and self.process.stdout
        try:
            self.process.stdin.write(json.dumps([count, video]).encode())
            self.process.stdin.write(b'\n')
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended: its closed output says so
        line = self.process.stdout.readline()
        return line if line.endswith(b'\n') else b''

    def _give_up(self) -> None:
        self._hung = True
        self.process.kill()

    def stop(self) -> None:
        """End the subprocess."""
        self.process.kill()
        self.process.communicate()


def own_cores() -> int:
    """Cores for a process, when all of a machine's share them."""
    cores = os.cpu_count() or 1
    if hasattr(os, 'sched_getaffinity'):
        cores = len(os.sched_getaffinity(0))
    return max(1, cores // int(os.environ.get('LOCAL_WORLD_SIZE') or 1))


def count_frames(
    videos: Iterable[str],
    count: str = 'decode',
    num_workers: Optional[int] = None,
    seconds: Optional[float] = None,
    start_prober: Callable[[], Prober] = Prober,
) -> Iterator[tuple[str, Stamp, VideoFacts]]:
    """Count the frames of videos in subprocesses.

    Args:
        videos (Iterable[str]): Paths of videos. Asked for as they are needed.
        count (str): See :func:`.video_probe.probe_video`. Defaults to
            ``'decode'``.
        num_workers (int, optional): Number of subprocesses. None means one a
            core, shared with the other processes of a job on this machine.
        seconds (float, optional): Time limit a video, in seconds. None means
            one that grows with the file.
        start_prober (Callable): Makes a subprocess.

    Yields:
        tuple[str, tuple[int, int], VideoFacts]: A video, the stamp of the
        file before (:func:`file_stamp`), and what was found, as it is found.
    """
    todo, lock = iter(videos), threading.Lock()
    answers: queue.SimpleQueue = queue.SimpleQueue()
    stopped = threading.Event()
    probers: set[Prober] = set()

    def work() -> None:
        prober = None
        try:
            while True:
                with lock:
                    video = None if stopped.is_set() else next(todo, None)
                    if video is None:
                        return
                    if prober is None:
                        prober = start_prober()
                        probers.add(prober)
                stamp = file_stamp(video)
                limit = seconds_for(stamp) if seconds is None else seconds
                facts = prober.probe(video, count, limit)
                if not prober.alive:
                    prober.stop()
                    probers.discard(prober)
                    prober = None
                answers.put((video, stamp, facts))
        except BaseException as error:
            answers.put(error)
        finally:
            if prober is not None:
                prober.stop()
            answers.put(None)

    number = own_cores() if num_workers is None else num_workers
    threads = [
        threading.Thread(target=work, daemon=True) for _ in range(number)
    ]
    for thread in threads:
        thread.start()
    try:
        working = len(threads)
        while working:
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            if answer is None:
                working -= 1
            else:
                yield answer
    finally:
        stopped.set()
        with lock:
            for prober in probers:
                prober.process.kill()
        for thread in threads:
            thread.join()


class FrameCounter:
    """Counts the frames of one video after the other in a subprocess.

    For readers without an index. Forks of a process start one of their own.
    """

    def __init__(self) -> None:
        self._prober: Optional[Prober] = None
        self._owner = 0

    def __call__(
        self, video: str, seconds: Optional[float] = None
    ) -> VideoFacts:
        """Count the frames of a video.

        Args:
            video (str): Its path.
            seconds (float, optional): See :func:`count_frames`.

        Returns:
            VideoFacts: What was found.
        """
        if self._prober is None or self._owner != os.getpid():
            self._prober, self._owner = Prober(), os.getpid()
        if seconds is None:
            seconds = seconds_for(file_stamp(video))
        facts = self._prober.probe(video, 'decode', seconds)
        if not self._prober.alive:
            self._prober.stop()
            self._prober = None
        return facts

    def __reduce__(self) -> tuple:
        return FrameCounter, ()


def count_by_transform(
    transform: Callable[[dict], dict], videos: Iterable[str]
) -> Iterator[tuple[str, Stamp, VideoFacts]]:
    """Count the frames of videos in other storage by what will read them.

    Without a subprocess a decoder that crashes ends the run. Such videos have
    no size and time here, so that changes go unnoticed.

    Args:
        transform (Callable): Sets ``total_frames`` from ``filename``, such as
            ``DecordInit``.
        videos (Iterable[str]): Paths of videos, as the transform takes them.

    Yields:
        tuple[str, tuple[int, int], VideoFacts]: See :func:`count_frames`.
    """
    for video in videos:
        try:
            frames = int(transform(dict(filename=video))['total_frames'])
            reason = '' if frames else 'it has no frames'
        except Exception as error:
            frames, reason = 0, f'{type(error).__name__}: {error}'[:200]
        yield video, file_stamp(video), VideoFacts(frames, reason=reason)

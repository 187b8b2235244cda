"""Names the video on which a decoder crashes or hangs in a data loader.

A crash takes the worker with it, and PyTorch then only says which process was
lost; on a hang the job would wait for ever. So each worker notes in shared
memory what it reads, which the main process looks up when it ends, and ends
itself when reading takes too long.
"""

import contextlib
import functools
import logging
import os
import re
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Callable

import torch
from mmengine.logging import print_log
from torch.utils.data import get_worker_info

MAX_WORKERS = 1024
LOST_WORKERS = re.compile(r'DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)')

_watches: weakref.WeakSet = weakref.WeakSet()


class ReadWatch:
    """What the workers of one dataset read, and what they could not read.

    Args:
        num_videos (int): How many videos it has.
        name (Callable[[int], str]): Gives a video's name, for messages.
    """

    def __init__(self, num_videos: int, name: Callable[[int], str]) -> None:
        self._name = name
        self.unreadable = _shared(num_videos, dtype=torch.uint8)
        """torch.Tensor: (num_videos,) uint8, 1 for videos that failed in any
        worker of this process."""
        # Process, and number of its video from 1, or 0 between videos.
        self._reading = _shared(MAX_WORKERS, 2)
        _watches.add(self)
        _name_videos_at_exit()

    @contextlib.contextmanager
    def reading(self, video: int, seconds: float) -> Iterator[None]:
        """Note that a worker reads a video; outside of workers do nothing.

        Args:
            video (int): Number of the video.
            seconds (float): Time after which the process ends.
        """
        worker = get_worker_info()
        if worker is None:
            yield
            return
        note = self._reading[worker.id % MAX_WORKERS]
        note[0], note[1] = os.getpid(), video + 1
        alarm = threading.Timer(
            seconds, _give_up, (self._name(video), seconds)
        )
        alarm.daemon = True
        alarm.start()
        try:
            yield
        finally:
            alarm.cancel()
            note[1] = 0

    def read_by(self, process: int) -> list[str]:
        """What a process that is gone was reading.

        Args:
            process (int): Its id.

        Returns:
            list[str]: The video's name; empty if it read none.
        """
        rows = self._reading[self._reading[:, 0] == process]
        numbers = rows[:, 1].tolist()
        return [self._name(number - 1) for number in numbers if number]


def _shared(*shape: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    """Zeros that workers share with the process that starts them."""
    return torch.zeros(shape, dtype=dtype).share_memory_()


def _give_up(name: str, seconds: float) -> None:
    print_log(
        f'{name}: reading it has taken {seconds:g} s, its decoder hangs. The '
        'job ends: take the video out of the annotation file, or raise '
        '`max_read_seconds` of the dataset.',
        'current',
        level=logging.ERROR,
    )
    # Nothing can stop the decoder; the main process sees the exit.
    os._exit(1)


def _name_videos_at_exit() -> None:
    """Let an error that ends this process name the video behind it."""
    show = sys.excepthook
    if not hasattr(show, '_names_videos'):
        sys.excepthook = functools.partial(_show_with_videos, show)
        sys.excepthook._names_videos = True


def _show_with_videos(
    show: Callable, kind: type, error: BaseException, trace: Any
) -> None:
    show(kind, error, trace)
    # Who puts a hook of their own on top, as torch.distributed does, lets a
    # second one of ours follow: the inner one has named the videos.
    if getattr(error, '_videos_named', False):
        return
    error._videos_named = True
    found = LOST_WORKERS.search(str(error))
    for process in found[1].split(',') if found else ():
        for watch in list(_watches):
            for name in watch.read_by(int(process)):
                print_log(
                    f'The data loader worker {int(process)} was lost while it '
                    f'read {name}. If its decoder fails on it, take the '
                    'video out of the annotation file.',
                    'current',
                    level=logging.ERROR,
                )

"""Who counts what, and who waits: the processes of all jobs share the work.

Each begins with a share of its own and goes on with what is left of the
others', so that none that dies is waited for. A video that two have counted
costs their time, nothing else.
"""

import contextlib
import os
import random
import time
from collections.abc import Iterator
from typing import Callable, Optional

import numpy as np
from mmengine.logging import print_log
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TimeRemainingColumn,
)
from rich.progress import TextColumn as TextOnBar

from .columns import TextColumn
from .index_files import RowWriter
from .index_rows import DECODE, PACKETS, TRANSFORM, IndexRow
from .index_store import IndexStore
from .prober import count_by_transform, count_frames, own_cores

REFRESH_EVERY = 5
# After so long without a new row nobody else is counting what is left.
QUIET_SECONDS = 120
# So many videos a core, and fewer, are left to those who have begun.
HELP_WITH = 4


def rank_of_job() -> tuple[int, int]:
    """Rank of this process, and the number of ranks, as launchers set them."""
    ranks = int(os.environ.get('WORLD_SIZE') or 1)
    return int(os.environ.get('RANK') or 0) % ranks, ranks


class Counting:
    """Counts videos, as one of all the processes that do so.

    Args:
        store (IndexStore): Takes the rows.
        left (dict[str, tuple[str, int]]): Videos to be counted: name in the
            index, path, and when they were counted last.
        key (Callable[[str], str]): Gives the name of a path.
        transform (Callable, optional): See :meth:`FrameIndex.complete`.
        count (str): See :meth:`FrameIndex.complete`.
        part (tuple[int, int], optional): This process's share and their
            number. Only that is counted, and nobody is waited for. None
            means that of this rank. Defaults to None.
    """

    def __init__(
        self,
        store: IndexStore,
        left: dict[str, tuple[str, int]],
        key: Callable[[str], str],
        transform: Optional[Callable[[dict], dict]] = None,
        count: str = 'decode',
        part: Optional[tuple[int, int]] = None,
    ) -> None:
        self.store, self.left, self.key = store, dict(left), key
        self.transform, self.count = transform, count
        self.alone = part is not None
        share, parts = part or rank_of_job()
        hashes = TextColumn.of(left).hashes()
        mine = (hashes % np.uint64(parts) == share).tolist()
        self.own = [name for name, is_own in zip(left, mine) if is_own]
        # In any order, so that several jobs do not count the same.
        random.Random(os.urandom(8)).shuffle(self.own)
        self.few = 0 if self.alone else HELP_WITH * parts * own_cores()
        self.last_new = time.monotonic()

    def run(self) -> None:
        """Count until no video is left.

        Raises:
            OSError: The index cannot be written. What is in it stays.
        """
        total = len(self.own) if self.alone else len(self.left)
        what = f'Counting the frames of {total} videos'
        print_log(f'{what} for {self.store.folder}', logger='current')
        with self.store.writer() as writer, _progress(what, total) as show:
            self._take(iter(self.own), writer, show)
            while self.left and not self.alone:
                self._look(show)
                quiet = time.monotonic() - self.last_new
                if quiet > QUIET_SECONDS:
                    self._take(iter(list(self.left)), writer, show)
                elif len(self.left) > self.few:
                    self._take(self._others(), writer, show)
                elif self.left:
                    time.sleep(0.2)
        self.store.refresh()

    def _others(self) -> Iterator[str]:
        """Videos of the others' shares, as long as there are many left."""
        others = list(self.left)
        random.Random(os.urandom(8)).shuffle(others)
        for name in others:
            if len(self.left) <= self.few:
                return
            yield name

    def _paths(self, names: Iterator[str]) -> Iterator[str]:
        """Paths of videos that nobody has counted meanwhile."""
        for name in names:
            path, _ = self.left.get(name, ('', 0))
            if path:
                yield path

    def _take(
        self, names: Iterator[str], writer: RowWriter, show: Callable
    ) -> None:
        """Count videos and write what is found as it comes."""
        paths = self._paths(names)
        if self.transform is not None:
            found = count_by_transform(self.transform, paths)
            by = TRANSFORM
        else:
            found = count_frames(paths, self.count)
            by = DECODE if self.count == 'decode' else PACKETS
        looked = time.monotonic()
        for video, stamp, facts in found:
            name = self.key(video)
            _, last = self.left.pop(name, ('', 0))
            # Clocks of machines differ, but the latest row must hold.
            when = max(time.time_ns(), last + 1)
            writer.append(IndexRow(name, *stamp, when, by, facts))
            show(len(self.left))
            if time.monotonic() - looked > REFRESH_EVERY:
                self._look(show)
                looked = time.monotonic()

    def _look(self, show: Callable) -> None:
        """Strike out what others have counted."""
        before = len(self.left)
        for name in self.store.refresh():
            self.left.pop(name, None)
        if len(self.left) < before:
            self.last_new = time.monotonic()
        show(len(self.left))


@contextlib.contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar, or log lines without a terminal; called with what is left."""
    console = Console(stderr=True)
    columns = (
        TextOnBar(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    said = time.monotonic()
    # A bar that is transient leaves the log as it would be without it.
    with Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task('', total=total)

        def show(left: int) -> None:
            nonlocal said
            progress.update(task, completed=total - left)
            if not console.is_terminal and time.monotonic() - said > 10:
                said = time.monotonic()
                print_log(f'{what}: {total - left} done', logger='current')

        yield show

"""The frame index: how many frames each video has, counted once.

A text file (JSON lines) beside the videos holds, for each, its path, size,
modification time and number of frames, or the reason why it cannot be used,
and the key packets from which reading may begin.
Videos that changed are counted again. Counting runs in subprocesses with a
time limit, since decoders crash and hang on bad files. A second file beside
it, ``<index>.bad.txt``, lists the unusable videos for people to read.
"""

import contextlib
import hashlib
import json
import os
import os.path as osp
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

from mmengine.logging import print_log
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from torch.utils.data import get_worker_info

from .video_facts import KeyPacket

FORMAT = 'vll_mmaction frame index'
VERSION = 2
INDEX_NAME = 'frame_index.jsonl'
# Each is decoded to its end.
SECONDS_A_VIDEO = 600
SAVE_EVERY_SECONDS = 30
# An index that has not been written for so long is complete.
QUIET_SECONDS = 2 * (SECONDS_A_VIDEO + SAVE_EVERY_SECONDS)
MISSING = (-1, -1)


@dataclass(frozen=True)
class VideoEntry:
    """What the index knows of one video.

    Args:
        stamp (tuple[int, int]): Size in bytes and modification time in ns of
            the file when it was counted; (-1, -1) if it could not be read.
        frames (int): Number of frames, 0 if the video cannot be used.
        reason (str): Why it cannot be used, '' if it can.
        keys (tuple[KeyPacket, ...]): Where reading may begin.
    """

    stamp: tuple[int, int]
    frames: int = 0
    reason: str = ''
    keys: tuple[KeyPacket, ...] = ()


def _stamp(path: str) -> tuple[int, int]:
    try:
        stat = os.stat(path)
        # Rights can be given without a change of the file's time.
        readable = os.access(path, os.R_OK)
    except (OSError, ValueError):  # ValueError: a null character
        return MISSING
    return (stat.st_size, stat.st_mtime_ns) if readable else MISSING


def _write(path: str, rows: Sequence[str]) -> None:
    """Write a file whole or not at all; several machines may do so."""
    temporary = f'{path}.{socket.gethostname()}.{os.getpid()}.tmp'
    try:
        with open(
            temporary, 'w', encoding='utf-8', errors='backslashreplace'
        ) as file:
            file.writelines(f'{row}\n' for row in rows)
        os.replace(temporary, path)
    finally:
        if osp.exists(temporary):
            os.remove(temporary)


def _one_line(text: str) -> str:
    """Text with line ends and control characters escaped."""
    return ''.join(
        c if c.isprintable() else c.encode('unicode_escape').decode()
        for c in text
    )


def _entry_of(
    size: int, mtime: int, frames: int, reason: str, keys: Any = ()
) -> VideoEntry:
    """An entry from what its line holds, without the path."""
    keys = tuple(KeyPacket(*key) for key in keys)
    return VideoEntry((size, mtime), frames, reason, keys)


def _entry_from(stamp: tuple[int, int], answer: dict) -> VideoEntry:
    """An entry from the answer of a subprocess."""
    return _entry_of(
        *stamp,
        *(answer.get('frames', 0), answer['reason'], answer.get('keys', ())),
    )


class FrameIndex:
    """Frame counts of videos, kept in a file.

    Args:
        path (str): The index file. Read if it exists.
        root (str): Folder to which the paths in the file are relative, so
            that an index moves with its videos. '' for absolute paths.

    Raises:
        ValueError: ``path`` holds something else than a frame index.
    """

    def __init__(self, path: str, root: str = '') -> None:
        self.path = path
        self._prefix = osp.join(root, '') if root else ''
        self._entries: dict[str, VideoEntry] = {}
        if osp.exists(path):
            self._load()

    def _key(self, video: str) -> str:
        if self._prefix and video.startswith(self._prefix):
            return video[len(self._prefix) :]
        return video if '://' in video else osp.abspath(video)

    def _load(self) -> None:
        try:
            with open(self.path, encoding='utf-8') as file:
                header = json.loads(file.readline())
                known = header['format'] == FORMAT
                if known and header['version'] == VERSION:
                    for line in file:
                        key, *row = json.loads(line)
                        self._entries[key] = _entry_of(*row)
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise ValueError(
                f'{self.path} is not a frame index ({error}). Name another '
                'file in `frame_index`, or delete this one if it was an '
                'index: it is then made anew.'
            ) from None
        if not known:
            raise ValueError(
                f'{self.path} is not a frame index (its first line says '
                f'{header["format"]!r}). Name another file in `frame_index`.'
            )
        if header['version'] != VERSION:
            raise ValueError(
                f'{self.path} is a frame index of version '
                f'{header["version"]}, this is version {VERSION}. Delete it: '
                'it is then made anew.'
            )

    def check_videos(self, videos: Sequence[str]) -> None:
        """Refuse to go on with the index of another data set.

        That is one that has none of the videos, and whose own are not there.

        Args:
            videos (Sequence[str]): Paths of videos.

        Raises:
            ValueError: It is such an index.
        """
        if not self._entries or any(video in self for video in videos):
            return
        local = [key for key in self._entries if '://' not in key][:100]
        paths = [osp.join(self._prefix, key) for key in local]
        if not paths or any(map(osp.exists, paths)):
            return
        raise ValueError(
            f'frame_index={self.path!r} is the index of other videos, such as '
            f'{local[0]}, which are not in '
            f'{self._prefix or "their folder"!r}; it has none of the '
            f"dataset's, such as {videos[0]}. Name another file in "
            '`frame_index`, or None to have one chosen.'
        )

    @property
    def report(self) -> str:
        """str: File that lists the unusable videos, see the module."""
        return f'{self.path}.bad.txt'

    def save(self) -> None:
        """Write index and report under a temporary name, then rename it."""
        os.makedirs(osp.dirname(osp.abspath(self.path)), exist_ok=True)
        rows = [json.dumps(dict(format=FORMAT, version=VERSION))]
        for key, entry in sorted(self._entries.items()):
            row = [key, *entry.stamp, entry.frames, entry.reason]
            if entry.keys:
                row.append(entry.keys)
            rows.append(json.dumps(row))
        _write(self.path, rows)
        self.save_report()

    def save_report(self) -> None:
        """Write the report; remove an old one if all videos can be used."""
        bad = {key: e for key, e in self._entries.items() if not e.frames}
        if bad:
            rows = [
                f'# {len(bad)} of the {len(self._entries)} videos in '
                f'{osp.basename(self.path)} cannot be used. Each is tried '
                'again when its file changes, all when the index is deleted.'
            ]
            rows += [
                f'{_one_line(key)}: {_one_line(entry.reason)}'
                for key, entry in sorted(bad.items())
            ]
            _write(self.report, rows)
        elif osp.exists(self.report):
            os.remove(self.report)

    def missing(self, videos: Sequence[str]) -> list[str]:
        """Videos that are not in the index, or changed since.

        Args:
            videos (Sequence[str]): Paths of videos.

        Returns:
            list[str]: Those to be counted, each once, in order.
        """
        return [
            video
            for video in dict.fromkeys(videos)
            if self._not_counted(video)
        ]

    def _not_counted(self, video: str) -> bool:
        entry = self._entries.get(self._key(video))
        return entry is None or entry.stamp != _stamp(video)

    def update(
        self, videos: Sequence[str], count: Optional[Callable] = None
    ) -> None:
        """Count the frames of videos that are new or changed, and save.

        What was counted so far is saved every half minute, so that a killed
        run goes on where it stopped.

        Args:
            videos (Sequence[str]): Paths of videos.
            count (Callable, optional): Counts them, as :func:`count_frames`,
                which is the default.
        """
        videos = list(dict.fromkeys(videos))
        todo = [video for video in videos if self._not_counted(video)]
        if todo:
            self._take(
                (count or count_frames)(todo),
                len(todo),
                f'Counting the frames of {len(todo)} videos',
            )

    def _take(
        self, entries: Iterator[tuple[str, VideoEntry]], total: int, what: str
    ) -> None:
        """Take in entries as they come, and save."""
        print_log(f'{what} for {self.path}', logger='current')
        saved = time.monotonic()
        for video, entry in _with_progress(entries, total, what):
            self._entries[self._key(video)] = entry
            if time.monotonic() - saved > SAVE_EVERY_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()

    def __contains__(self, video: str) -> bool:
        return self._key(video) in self._entries

    def __getitem__(self, video: str) -> VideoEntry:
        return self._entries[self._key(video)]


def _with_progress(items: Iterator, total: int, what: str) -> Iterator:
    """Yield from items with a bar, or with log lines without a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn(what),
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
        for done, item in enumerate(items, 1):
            yield item
            progress.advance(task)
            if not console.is_terminal and time.monotonic() - said > 10:
                said = time.monotonic()
                print_log(f'{what}: {done} done', logger='current')


class _Prober:
    """One probing subprocess and the video it works on."""

    def __init__(self) -> None:
        self.video = ''
        self.deadline = 0.0
        program = osp.join(osp.dirname(__file__), 'probe_worker.py')
        self.process = subprocess.Popen(
            [sys.executable, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Decoders chat about every flaw; the reason is in the answer.
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdin and self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def ask(self, question: str, video: str, seconds: float) -> None:
        self.video = video
        self.deadline = time.monotonic() + seconds
        try:
            self.stdin.write(json.dumps([question, video]).encode() + b'\n')
            self.stdin.flush()
        except BrokenPipeError:
            pass  # it died before: its closed output says so

    def answer(self) -> dict:
        """The answer that is there to be read, or why there is none."""
        line = self.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        how = f'signal {-code}' if code < 0 else f'exit code {code}'
        return {'reason': f'the decoder crashed on it ({how})'}

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()

    def give_up(self, seconds: float) -> dict:
        """End the subprocess, which has not answered in time."""
        self.stop()
        return {'reason': f'the decoder hung on it ({seconds:g} s)'}


def count_frames(
    videos: Sequence[str],
    num_workers: Optional[int] = None,
    seconds: float = SECONDS_A_VIDEO,
    start_prober: Callable[[], _Prober] = _Prober,
) -> Iterator[tuple[str, VideoEntry]]:
    """Count the frames of videos in subprocesses.

    Args:
        videos (Sequence[str]): Paths of videos.
        num_workers (int, optional): Number of subprocesses. None means one a
            CPU core, at most 8.
        seconds (float): Time limit a video, in seconds.
        start_prober (Callable): Makes a subprocess.

    Yields:
        tuple[str, VideoEntry]: A video and what was found, as it is found.
    """
    asked = _ask('decode', videos, num_workers, seconds, start_prober)
    for video, stamp, answer in asked:
        yield video, _entry_from(stamp, answer)


def _ask(
    question: str,
    videos: Sequence[str],
    num_workers: Optional[int],
    seconds: float,
    start_prober: Callable[[], _Prober],
) -> Iterator[tuple[str, tuple[int, int], dict]]:
    """Videos, their stamps before, and the answers of subprocesses."""
    if num_workers is None:
        num_workers = min(8, os.cpu_count() or 1)
    todo = iter(videos)
    stamps: dict[str, tuple[int, int]] = {}
    with selectors.DefaultSelector() as waiting:

        def give(prober: Optional[_Prober]) -> None:
            """Hand the next video to a prober; end it if there is none."""
            for video in todo:
                stamps[video] = _stamp(video)
                prober = prober or start_prober()
                prober.ask(question, video, seconds)
                waiting.register(prober.stdout, selectors.EVENT_READ, prober)
                return
            if prober:
                prober.stop()

        for _ in range(min(num_workers, len(videos))):
            give(None)
        try:
            while waiting.get_map():
                ready = {key.data for key, _ in waiting.select(timeout=1)}
                now = time.monotonic()
                for key in list(waiting.get_map().values()):
                    prober = key.data
                    if prober in ready:
                        answer = prober.answer()
                    elif now > prober.deadline:
                        answer = prober.give_up(seconds)
                    else:
                        continue
                    waiting.unregister(key.fileobj)
                    video = prober.video
                    alive = prober.process.poll() is None
                    give(prober if alive else None)
                    yield video, stamps.pop(video), answer
        finally:
            for key in list(waiting.get_map().values()):
                key.data.stop()


class FrameCounter:
    """Counts the frames of one video after the other in a subprocess.

    For readers without an index. Forks of a process start one of their own.
    """

    def __init__(self) -> None:
        self._prober: Optional[_Prober] = None
        self._owner = 0

    def __call__(
        self, video: str, seconds: float = SECONDS_A_VIDEO
    ) -> VideoEntry:
        """Count the frames of a video.

        Args:
            video (str): Its path.
            seconds (float): Time limit, in seconds.

        Returns:
            VideoEntry: What was found.
        """
        stamp = _stamp(video)
        if self._prober is None or self._owner != os.getpid():
            self._prober, self._owner = _Prober(), os.getpid()
        prober = self._prober
        prober.ask('decode', video, seconds)
        with selectors.DefaultSelector() as waiting:
            waiting.register(prober.stdout, selectors.EVENT_READ)
            ready = waiting.select(timeout=seconds)
        answer = prober.answer() if ready else prober.give_up(seconds)
        if prober.process.poll() is not None:
            self._prober = None
        return _entry_from(stamp, answer)


def count_by_transform(
    transform: Callable[[dict], dict], videos: Sequence[str]
) -> Iterator[tuple[str, VideoEntry]]:
    """Count the frames of videos in other storage by what will read them.

    Without a subprocess a decoder that crashes ends the run. Such videos have
    no size and time here, so that changes go unnoticed.

    Args:
        transform (Callable): Sets ``total_frames`` from ``filename``, such as
            ``DecordInit``.
        videos (Sequence[str]): Paths of videos, as the transform takes them.

    Yields:
        tuple[str, VideoEntry]: A video and what was found.
    """
    for video in videos:
        try:
            frames = int(transform(dict(filename=video))['total_frames'])
            reason = '' if frames else 'it has no frames'
        except Exception as error:
            frames, reason = 0, f'{type(error).__name__}: {error}'[:200]
        yield video, VideoEntry(_stamp(video), frames, reason)


def default_index_path(video_root: str, ann_file: str) -> str:
    """Where the index of a data set is kept unless the user names a place.

    Args:
        video_root (str): Folder of the videos (``data_prefix['video']``), ''
            if the annotation file holds whole paths.
        ann_file (str): Annotation file.

    Returns:
        str: In the folder of the videos, so that all annotation files of a
        data set share it; without such a folder beside the annotation file;
        where neither can be written, in the user's cache folder.
    """
    if video_root and osp.isdir(video_root):
        path = osp.join(video_root, INDEX_NAME)
    else:
        path = f'{ann_file}.{INDEX_NAME}'
    folder = osp.dirname(osp.abspath(path))
    if os.access(path if osp.exists(path) else folder, os.W_OK):
        return path
    cache = os.environ.get('XDG_CACHE_HOME') or osp.expanduser('~/.cache')
    name = hashlib.sha256(osp.abspath(path).encode()).hexdigest()[:16]
    return osp.join(cache, 'vll_mmaction', f'{name}.{INDEX_NAME}')


def load_or_build(
    videos: Sequence[str],
    path: str,
    root: str = '',
    count: Optional[Callable] = None,
) -> FrameIndex:
    """The frame index of videos, brought up to date.

    One process a machine counts. The others read the file again and again
    until it is complete, rather than wait in a collective, which would time
    out on a large data set.

    Args:
        videos (Sequence[str]): Paths of videos.
        path (str): The index file.
        root (str): Folder to which the paths in the file are relative.
        count (Callable, optional): See :meth:`FrameIndex.update`.

    Returns:
        FrameIndex: Holds every one of ``videos``.

    Raises:
        RuntimeError: Called in a data loader's worker, where every worker
            would count for itself.
    """
    index = FrameIndex(path, root)
    builds = get_worker_info() is None and not int(
        os.environ.get('LOCAL_RANK') or 0
    )
    if not index.missing(videos):
        bad = any(not index[video].frames for video in videos)
        if builds and bad and not osp.exists(index.report):
            # Of an index that cannot be written nothing is reported.
            with contextlib.suppress(OSError):
                index.save_report()
        return index
    if get_worker_info() is not None:
        raise RuntimeError(
            f'The frame index {path} is not complete and is never built in a '
            'data loader worker: call `dataset.full_init()` before the data '
            'loader starts (MMEngine does so unless `lazy_init=True`).'
        )
    if builds:
        index.update(videos, count)
        return index
    said = changed = time.monotonic()
    stamp = _stamp(path)
    while index.missing(videos):
        if stamp != _stamp(path):
            stamp, changed = _stamp(path), time.monotonic()
        quiet = time.monotonic() - changed > QUIET_SECONDS
        if quiet and all(video in index for video in videos):
            # They changed after local rank 0 counted them. What it found is
            # used, so that all ranks have the same clips.
            return index
        if time.monotonic() - said > 60:
            said = time.monotonic()
            print_log(
                f'Waiting for local rank 0 to complete {path}: '
                f'{len(index.missing(videos))} videos to go',
                logger='current',
            )
        time.sleep(1)
        index = FrameIndex(path, root)
    return index

"""Decoded, resized frames of videos on disk, so that they are decoded once.

One file a video: a header of 4096 bytes (JSON), then its frames as they are
before the first random transform, (n, H, W, 3) uint8, BGR. It is written under
a temporary name and renamed, and read by memory map. The folder never grows
beyond its bound: when it is full, the other videos are decoded as without it.
Where each epoch goes through all videos, no rule of replacement saves more.
"""

import hashlib
import json
import logging
import os
import os.path as osp
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Callable, Optional

import cv2
import numpy as np
from av import library_versions
from mmengine.logging import print_log

from .frame_source import read_lazy_frames
from .video_facts import KeyPacket
from .yuv_frame import AnyFrame

FORMAT = 'vll_mmaction decoded frames'
VERSION = 1
HEADER_BYTES = 4096
LOCK = 'used_bytes'
# Pixels depend on these; files of other versions go when the room is needed.
SWSCALE = '.'.join(map(str, library_versions['libswscale']))
MADE_BY = f'.opencv-{cv2.__version__}.swscale-{SWSCALE}'
ENDING = '.frames'
UNFINISHED = '.unfinished'  # after the ending
# Writing a video takes seconds: who began it so long ago has died.
STALE_SECONDS = 3600


class FrameCache:
    """A folder of decoded videos, shared by all workers, ranks and runs.

    Args:
        folder (str): Where they are kept, best on a local disk. Made if it is
            not there.
        max_gb (float): Most that the folder holds, in 10^9 bytes.

    Raises:
        ValueError: The folder cannot be made, written or locked, or
            ``max_gb`` is not above 0.
    """

    def __init__(self, folder: str, max_gb: float) -> None:
        if not max_gb > 0:
            raise ValueError(f'max_gb of a cache must be above 0: {max_gb!r}')
        self.folder = osp.abspath(osp.expanduser(folder))
        self.max_bytes = int(max_gb * 10**9)
        self._full = False
        self._counted_by = 0
        try:
            os.makedirs(self.folder, exist_ok=True)
            with self._locked():
                pass
        except OSError as error:
            raise ValueError(
                f'the cache folder {folder} cannot be used: {error.strerror}'
            ) from error

    def frames(
        self,
        path: str,
        wanted: np.ndarray,
        num_frames: int,
        resize: Callable[[AnyFrame], np.ndarray],
        settings: str,
        keys: Sequence[KeyPacket] = (),
    ) -> Iterator[tuple[tuple[int, ...], AnyFrame, bool]]:
        """Frames of a video, from the cache, which is filled on the way.

        Args:
            path (str): Video file.
            wanted (np.ndarray): (n,) int64 frame numbers, ascending, each
                once.
            num_frames (int): Number of frames of the video.
            resize (Callable): What is done to a frame before it is kept.
            settings (str): Tells this ``resize`` from others.
            keys (Sequence[KeyPacket]): See :func:`read_frames`, for videos
                that are not kept.

        Yields:
            tuple: (height, width) of the video, a wanted frame, not to be
            kept or written to, and whether it is resized: then it is (H, W,
            3) uint8, BGR, else see :func:`read_lazy_frames`.

        Raises:
            ValueError: See :func:`read_frames`, for frames that are wanted.
        """
        key = self._key(path, num_frames, settings)
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        file = osp.join(self.folder, name + MADE_BY + ENDING)
        kept = _load(file, key)
        if kept is not None:
            shape, frames = kept
            for number in wanted.tolist():
                yield shape, frames[number], True
            return
        rest = wanted.tolist()
        if not self._full:  # once full it stays so
            rest = yield from self._keep(
                file, key, path, rest, num_frames, resize
            )
        if rest:
            for _, frame in read_lazy_frames(path, np.asarray(rest), keys):
                yield frame.shape[:2], frame, False

    def _keep(
        self,
        file: str,
        key: str,
        path: str,
        wanted: list[int],
        num_frames: int,
        resize: Callable[[AnyFrame], np.ndarray],
    ) -> Generator[tuple[tuple[int, ...], np.ndarray, bool], None, list[int]]:
        """Decode a whole video into a file; return what is still wanted."""
        writer, rest = None, wanted[::-1]
        try:
            for number, frame in read_lazy_frames(path, np.arange(num_frames)):
                image = resize(frame)
                if number == 0:
                    video_shape = frame.shape[:2]
                    shape = (num_frames, *image.shape)
                    writer = self._begin(file, key, video_shape, shape)
                if writer is None:
                    return wanted
                if frame.shape[:2] != video_shape:
                    raise ValueError(f'{path}: its frames change their size')
                writer.add(image)
                if rest and rest[-1] == number:
                    rest.pop()
                    yield video_shape, image, True
            if writer is not None:
                writer.finish()
        except ValueError:
            # It may be a frame that nobody asked for.
            if rest:
                raise
        finally:
            if writer is not None:
                writer.close()
        return rest

    @staticmethod
    def _key(path: str, num_frames: int, settings: str) -> str:
        """All that the kept frames depend on."""
        stat = os.stat(path)
        parts = dict(
            path=osp.abspath(path),
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            num_frames=int(num_frames),
            settings=settings,
            made_by=MADE_BY,
        )
        return json.dumps(parts)

    def _begin(
        self,
        file: str,
        key: str,
        video_shape: tuple[int, ...],
        shape: tuple[int, ...],
    ) -> Optional['_Writer']:
        """A writer of a video, if there is room and nobody else writes it."""
        header = _header(key, video_shape, shape)
        size = len(header) + int(np.prod(shape))
        if len(header) != HEADER_BYTES:
            return None  # an endless path
        try:
            with self._locked() as lock:
                if _load(file, key) is not None:
                    return None
                used = self._used(lock) - _size(file)
                if used + size > self.max_bytes:
                    used -= self._remove_outdated()
                if used + size > self.max_bytes:
                    self._full = True
                    return None
                # From here on the file counts with all its bytes.
                with open(file + UNFINISHED, 'xb') as output:
                    output.truncate(size)
                with suppress(FileNotFoundError):
                    os.remove(file)  # it was damaged
                _write_number(lock, used + size)
            return _Writer(self, file, header)
        except FileExistsError:
            return None
        except OSError as error:
            self._give_up(error)
            return None

    @contextmanager
    def _locked(self) -> Iterator[IO[str]]:
        """The file that holds the bytes used, for one process at a time."""
        import fcntl  # not on Windows

        path = osp.join(self.folder, LOCK)
        with open(path, 'a+', encoding='ascii') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock

    def _used(self, lock: IO[str]) -> int:
        """Bytes that files of the folder take, counted once a process."""
        lock.seek(0)
        known = lock.read()
        if self._counted_by == os.getpid() and known.isdigit():
            return int(known)
        self._counted_by = os.getpid()
        used = 0
        for name in os.listdir(self.folder):
            file = osp.join(self.folder, name)
            if name.endswith(ENDING):
                used += _size(file)
            elif name.endswith(UNFINISHED):
                with suppress(FileNotFoundError):
                    if time.time() - osp.getmtime(file) < STALE_SECONDS:
                        used += _size(file)
                    else:  # what a dead writer left
                        os.remove(file)
        return used

    def _remove_outdated(self) -> int:
        """Make room, where other versions have made files; bytes of these."""
        removed = 0
        for name in os.listdir(self.folder):
            if name.endswith(ENDING) and MADE_BY not in name:
                file = osp.join(self.folder, name)
                removed += _size(file)
                os.remove(file)
        return removed

    def _give_up(self, error: OSError) -> None:
        """Keep nothing more: such as on a disk without room."""
        self._full = True
        print_log(
            f'No more frames are kept in the cache {self.folder}: {error}',
            'current',
            level=logging.WARNING,
        )

    def __repr__(self) -> str:
        gigabytes = self.max_bytes / 10**9
        return f'dict(folder={self.folder!r}, max_gb={gigabytes:g})'


class _Writer:
    """Writes one video's frames. Without effect once that has failed."""

    def __init__(self, cache: FrameCache, file: str, header: bytes) -> None:
        self._cache, self._file = cache, file
        self._output: Optional[IO[bytes]] = open(  # noqa: SIM115
            file + UNFINISHED, 'r+b'
        )
        self._output.write(header)

    def add(self, image: np.ndarray) -> None:
        """Append a frame."""
        if self._output is None:
            return
        try:
            self._output.write(np.ascontiguousarray(image).data)
        except OSError as error:
            self._cache._give_up(error)
            self.close()

    def finish(self) -> None:
        """Give the file, whose frames are all there, its name."""
        if self._output is None:
            return
        try:
            self._output.flush()
            # Else a crash of the machine might leave a renamed file of zeros.
            os.fsync(self._output.fileno())
        except OSError as error:
            self._cache._give_up(error)
            self.close()
        else:
            self._end(keep=True)

    def close(self) -> None:
        """End writing, and delete a file that was not finished."""
        if self._output is not None:
            self._end(keep=False)

    def _end(self, keep: bool) -> None:
        output, self._output = self._output, None
        file = self._file + UNFINISHED
        assert output is not None
        with suppress(OSError), self._cache._locked() as lock:
            # Unless it was taken for a dead writer's meanwhile.
            if os.path.samestat(os.stat(file), os.fstat(output.fileno())):
                if keep:
                    os.replace(file, self._file)
                else:
                    used = self._cache._used(lock) - _size(file)
                    os.remove(file)
                    _write_number(lock, used)
        with suppress(OSError):
            output.close()


def _header(
    key: str, video_shape: tuple[int, ...], shape: tuple[int, ...]
) -> bytes:
    """Start of a file, padded to ``HEADER_BYTES``."""
    parts = dict(
        format=FORMAT,
        version=VERSION,
        key=key,
        video_shape=video_shape,
        shape=shape,
    )
    return json.dumps(parts).encode().ljust(HEADER_BYTES - 1) + b'\n'


def _load(file: str, key: str) -> Optional[tuple[tuple[int, ...], np.ndarray]]:
    """Size of the video and its frames, or None if they are not whole."""
    try:
        with open(file, 'rb') as source:
            parts = json.loads(source.read(HEADER_BYTES))
            shape = tuple(parts['shape'])
            expected = HEADER_BYTES + int(np.prod(shape))
            if (
                (parts['format'], parts['version']) != (FORMAT, VERSION)
                or parts['key'] != key
                or os.fstat(source.fileno()).st_size != expected
            ):
                return None
            frames = np.memmap(
                source, np.uint8, 'r', offset=HEADER_BYTES, shape=shape
            )
        return tuple(parts['video_shape']), frames.view(np.ndarray)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except FileNotFoundError:
        return 0


def _write_number(lock: IO[str], number: int) -> None:
    lock.seek(0)
    lock.truncate()
    lock.write(str(number))
    lock.flush()

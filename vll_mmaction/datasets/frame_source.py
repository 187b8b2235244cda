"""Frames of a video file, in order, decoded once.

OpenCV reads on from the start and converts only the frames that are wanted.
Where that is slower, or not exact, decord reads instead. Both give the same
pixels.
"""

import re
from collections.abc import Iterator, Sequence

import cv2
import decord
import numpy as np

# Frames that decord decodes at once: more only cost memory.
CHUNK = 16
# Containers that store a presentation time for each frame. AVI does not, and
# where there are B-frames decord then lands on wrong frames after a seek.
TIMED = ('.mp4', '.m4v', '.mov', '.mkv', '.webm')
# MPEG-4 part 2 in AVI by its names, and the head of a B-frame in its stream.
MPEG4_TAGS = re.compile(rb'XVID|DIVX|DX50|FMP4|MP4V', re.IGNORECASE)
B_FRAME = re.compile(rb'\0\0\x01\xb6[\x80-\xbf]')
# Costs of decord in units of a frame that OpenCV decodes and drops: opening
# the file (which scans it), and a wanted frame beyond what OpenCV takes.
# Measured: 10 and 1 with H.264, 25 and 5 with MPEG-4 part 2.
OPEN_COST = 25
FRAME_COST = 5


def read_frames(
    path: str, wanted: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode frames of a video.

    Args:
        path (str): Video file.
        wanted (np.ndarray): (n,) int64 frame numbers, ascending, each once.

    Yields:
        tuple[int, np.ndarray]: Frame number, and the frame as (H, W, 3)
        uint8, BGR. The array is used again for the next frame.

    Raises:
        ValueError: The file cannot be opened, or ends before the last wanted
            frame; the message names file and frame.
    """
    reader, done = _seeking_reader(path, wanted), 0
    if reader is not None:
        try:
            for frame in _decord_frames(reader, wanted, path):
                yield frame
                done += 1
        except ValueError:
            pass  # OpenCV takes some that decord does not
    if done < len(wanted):
        yield from _read_on(path, wanted[done:])


def _open(path: str) -> cv2.VideoCapture:
    # One thread: loaders run a worker a core already.
    capture = cv2.VideoCapture(
        path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]
    )
    if not capture.isOpened():
        raise ValueError(f'{path} cannot be opened as a video')
    return capture


def _read_on(
    path: str, wanted: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Read from the start to the last wanted frame with OpenCV."""
    capture = _open(path)
    try:
        if capture.get(cv2.CAP_PROP_FRAME_HEIGHT) % 2:
            # OpenCV then interpolates the colours in a way of its own.
            yield from _decord_frames(_decord_reader(path), wanted, path)
            return
        if capture.get(cv2.CAP_PROP_ORIENTATION_META):
            # A phone's video: upright, as decord gives it.
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        position, frame = 0, None
        for number in wanted.tolist():
            while position <= number:
                if not capture.grab():
                    raise _too_short(path, number, position)
                position += 1
            good, frame = capture.retrieve(frame)
            if not good:
                raise _too_short(path, number, position - 1)
            yield number, frame
    finally:
        capture.release()


def _too_short(path: str, number: int, given: int) -> ValueError:
    return ValueError(
        f'{path}: frame {number} was asked for (counted from 0), but the '
        f'decoder gave only {given} frames'
    )


def _seeking_reader(path: str, wanted: np.ndarray):
    """A decord reader if seeking to the wanted frames is cheaper, or None.

    Reading on decodes every frame up to the last wanted one; seeking, for
    each run of wanted frames, those from the key frame before it.
    """
    skipped = int(wanted[-1]) + 1 - len(wanted)
    cost = OPEN_COST + FRAME_COST * len(wanted)
    if skipped <= cost or not _lands_exactly(path):
        return None
    try:
        reader = _decord_reader(path)
    except ValueError:
        return None
    keys = np.asarray(reader.get_key_indices(), dtype=np.int64)
    if skipped <= cost + _skipped_by_seeking(wanted, keys):
        return None
    return reader


def _lands_exactly(path: str) -> bool:
    """Whether decord, after a seek, gives the frame that was asked for."""
    if path.lower().endswith(TIMED):
        return True
    if not path.lower().endswith('.avi'):
        return False
    with open(path, 'rb') as file:
        # The stream's header comes first.
        start = file.read(4096)
        if not MPEG4_TAGS.search(start):
            return False
        return not B_FRAME.search(start + file.read())


def _decord_reader(path: str) -> decord.VideoReader:
    try:
        return decord.VideoReader(path, num_threads=1)
    except decord.DECORDError as error:
        raise ValueError(
            f'{path} cannot be opened by decord: {str(error)[:200]}'
        ) from error


def _skipped_by_seeking(wanted: np.ndarray, keys: Sequence[int]) -> int:
    """Frames decoded in vain by seeking to each run of wanted frames.

    Args:
        wanted (np.ndarray): (n,) int64, ascending.
        keys (Sequence[int]): Numbers of the key frames, ascending.

    Returns:
        int: Number of frames.
    """
    before = np.concatenate([[0], wanted[:-1] + 1])
    keys = np.concatenate([[0], keys])
    key = keys[np.searchsorted(keys, wanted, side='right') - 1]
    return int((wanted - np.maximum(before, key)).sum())


def _decord_frames(
    reader, wanted: np.ndarray, path: str
) -> Iterator[tuple[int, np.ndarray]]:
    """Wanted frames by decord, in chunks."""
    if wanted[-1] >= len(reader):
        raise _too_short(path, int(wanted[-1]), len(reader))
    for start in range(0, len(wanted), CHUNK):
        numbers = wanted[start : start + CHUNK]
        try:
            frames = reader.get_batch(numbers).asnumpy()
        except decord.DECORDError as error:
            raise ValueError(
                f'{path}: decord cannot read the frames {numbers[0]} to '
                f'{numbers[-1]}: {str(error)[:200]}'
            ) from error
        for number, frame in zip(numbers.tolist(), frames):
            yield number, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)

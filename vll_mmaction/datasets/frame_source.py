"""Frames of a video file, in order, decoded once.

OpenCV reads on from the start and converts only the frames that are wanted.
Where it is not exact, decord reads instead. Both give the same pixels. Nothing
is sought: in a damaged file, and with decord in AVI with B-frames, frame n
after a seek is another one than the n-th from the start.
"""

from collections.abc import Iterator

import cv2
import decord
import numpy as np


class DecordFailure(ValueError):
    """decord failed, be it behind the frames that were wanted."""


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
    capture = _open(path)
    try:
        if capture.get(cv2.CAP_PROP_FRAME_HEIGHT) % 2:
            # OpenCV then interpolates the colours in a way of its own.
            yield from _decord_frames(path, wanted)
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
    except cv2.error as error:
        raise ValueError(
            f'{path} cannot be read by OpenCV: {str(error)[:200]}'
        ) from error
    finally:
        capture.release()


def _open(path: str) -> cv2.VideoCapture:
    # One thread: loaders run a worker a core already.
    capture = cv2.VideoCapture(
        path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]
    )
    if not capture.isOpened():
        raise ValueError(f'{path} cannot be opened as a video')
    return capture


def _too_short(path: str, number: int, given: int) -> ValueError:
    return ValueError(
        f'{path}: frame {number} was asked for (counted from 0), but the '
        f'decoder gave only {given} frames'
    )


def _decord_frames(
    path: str, wanted: np.ndarray
) -> Iterator[tuple[int, np.ndarray]]:
    """Read all frames with decord, to give the wanted ones.

    Also those behind the last wanted one: where a packet cannot be decoded,
    decord fails a while before it gets there, sooner or later by chance. So
    such a file is always refused.
    """
    given, todo = 0, iter(wanted.tolist())
    number = next(todo, None)
    try:
        # By default decord repeats a frame where there is none.
        reader = decord.VideoReader(path, num_threads=1, fault_tol=1e-6)
        while given < len(reader):
            frame = reader.next().asnumpy()
            if given == number:
                yield number, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
                number = next(todo, None)
            given += 1
    except (decord.DECORDLimitReachedError, StopIteration):
        pass  # there are fewer frames than packets
    except decord.DECORDError as error:
        raise DecordFailure(
            f'{path} cannot be read by decord: {str(error)[:200]}'
        ) from error
    if number is not None:
        raise _too_short(path, number, given)

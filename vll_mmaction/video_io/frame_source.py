"""Frames of a video file, in order, decoded once.

OpenCV reads on from the start and converts only the frames that are wanted.
Where it is not exact, decord reads instead. Both give the same pixels. Only
places that were verified are sought: elsewhere frame n after a seek may be
another one than the n-th from the start.
"""

import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

import cv2
import decord
import numpy as np

# Frames that are decoded in the time of a seek, with what it decodes itself.
SEEK_COST = 40


class DecordFailure(ValueError):
    """decord failed, be it behind the frames that were wanted."""


class SeekPoint(NamedTuple):
    """A place from which reading may begin.

    Args:
        frame (int): Number of the frame on which the seek lands.
        request (int): What OpenCV is asked for to land there.
        msec (float): Time of the frame as OpenCV gives it, in ms.
        crc (int): Checksum of its pixels.
    """

    frame: int
    request: int
    msec: float
    crc: int


def read_frames(
    path: str, wanted: np.ndarray, seek_points: Sequence[SeekPoint] = ()
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode frames of a video.

    Args:
        path (str): Video file.
        wanted (np.ndarray): (n,) int64 frame numbers, ascending, each once.
        seek_points (Sequence[SeekPoint]): Where reading may begin, in order.
            Sought if that is cheaper than reading on, and if it is still
            right; the frames are the same.

    Yields:
        tuple[int, np.ndarray]: Frame number, and the frame as (H, W, 3)
        uint8, BGR. The array is used again for the next frame.

    Raises:
        ValueError: The file cannot be opened, or ends before the last wanted
            frame; the message names file and frame.
    """
    capture = open_video(path)
    try:
        if capture.get(cv2.CAP_PROP_FRAME_HEIGHT) % 2:
            # OpenCV then interpolates the colours in a way of its own.
            yield from _decord_frames(path, wanted)
            return
        position, frame = 0, None
        for number in wanted.tolist():
            point = _cheaper(seek_points, position, number)
            if point:
                if position:
                    capture = open_video(path)
                position = point.frame + 1
                if not seek(capture, point):
                    _warn_of_seek(path, point)
                    capture, position, seek_points = open_video(path), 0, ()
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


def open_video(path: str) -> cv2.VideoCapture:
    """Open a video for reading frames that are upright, by one thread.

    Args:
        path (str): Video file.

    Returns:
        cv2.VideoCapture: At its start.

    Raises:
        ValueError: It cannot be opened.
    """
    # One thread: loaders run a worker a core already.
    capture = cv2.VideoCapture(
        path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]
    )
    if not capture.isOpened():
        raise ValueError(f'{path} cannot be opened as a video')
    if capture.get(cv2.CAP_PROP_ORIENTATION_META):
        # A phone's video: as decord gives it.
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def seek(capture: cv2.VideoCapture, point: SeekPoint) -> bool:
    """Go to a place, and make sure of it.

    Args:
        capture (cv2.VideoCapture): A video that was just opened, as in the
            search: what a decoder has read before may matter.
        point (SeekPoint): Of that video.

    Returns:
        bool: Whether the frame of that place is now the last that was
        grabbed. If not, the capture is of no use any more.
    """
    return land(capture, point.request) == (point.msec, point.crc)


def land(
    capture: cv2.VideoCapture, request: int
) -> Optional[tuple[float, int]]:
    """Seek and grab a frame.

    Args:
        capture (cv2.VideoCapture): A video that was just opened.
        request (int): Frame number to ask for.

    Returns:
        tuple[float, int], optional: Time in ms and checksum of the frame;
        None if there is none.
    """
    capture.set(cv2.CAP_PROP_POS_FRAMES, request)
    if not capture.grab():
        return None
    return capture.get(cv2.CAP_PROP_POS_MSEC), checksum(capture)


def checksum(capture: cv2.VideoCapture) -> int:
    """Checksum of the pixels of the last grabbed frame, -1 without any."""
    good, frame = capture.retrieve()
    return zlib.crc32(frame.data) if good else -1


def _cheaper(
    seek_points: Sequence[SeekPoint], position: int, number: int
) -> Optional[SeekPoint]:
    """The last place up to a frame, if reading on there takes longer.

    Args:
        seek_points (Sequence[SeekPoint]): In order.
        position (int): Number of the next frame to be decoded.
        number (int): Number of the wanted frame.

    Returns:
        SeekPoint, optional: None if reading on is cheaper.
    """
    if number - position <= SEEK_COST:
        return None
    before = [point for point in seek_points if point.frame <= number]
    if before and before[-1].frame - position > SEEK_COST:
        return before[-1]
    return None


def _warn_of_seek(path: str, point: SeekPoint) -> None:
    warnings.warn(
        f'{path}: a seek does not land on frame {point.frame} as it did when '
        'the frame index was made, perhaps with another OpenCV. Such videos '
        'are read from the start, with the same frames, but slower; delete '
        'the frame index to have the places found anew.',
        stacklevel=2,
    )


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

"""Places in a video from which reading may begin, found once and proved.

A decoder that seeks need not land where it says: of a variable frame rate
OpenCV knows only the mean, and damaged files mislead any decoder. So a video
is sought only where each seek that was tried lands on a frame with the time
and the pixels of one that decoding from the start gives, and where decoding on
gives the same frames up to the next place. Each later seek compares time and
pixels again.

Imported by ``probe_worker.py``, which runs without torch and MMAction2.
"""

import time
import zlib
from collections.abc import Sequence
from typing import NamedTuple, Optional

import cv2
import numpy as np

# OpenCV goes to the key frame before the one that is so far before the frame
# asked for, and decodes from there.
OPENCV_GOES_BACK = 16
# Frames that are decoded in the time of a seek, with what it decodes itself.
SEEK_COST = 40
# Least distance of two places. Closer ones make clips hardly cheaper, and the
# search and the index larger.
SPACING = 48
# Places pay if a clip of so many frames, anywhere in the video, takes at most
# this share of the decoding on the average.
CLIP_LEN, WORTH = 16, 0.6
# Hours of high resolution take longer; such a video is not sought.
SECONDS_TO_SEARCH = 500


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


class _NotToBeSought(Exception):
    """A seek led to other frames, or the search takes too long."""


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
    return _land(capture, point.request) == (point.msec, point.crc)


def find_seek_points(
    path: str, seconds: float = SECONDS_TO_SEARCH
) -> list[SeekPoint]:
    """Places in a video from which reading may begin.

    Takes the time of about three decodings of the video, or none if its key
    frames are too few for seeking to pay.

    Args:
        path (str): Video file.
        seconds (float): Time after which the search is given up.

    Returns:
        list[SeekPoint]: In order. Empty if none pays or is right.
    """
    requests = _requests(*_key_packets(path))
    if not requests:
        return []
    capture = open_video(path)
    if capture.get(cv2.CAP_PROP_FRAME_HEIGHT) % 2:
        return []  # decord reads these
    try:
        return _Search(path, capture, time.monotonic() + seconds).run(requests)
    except _NotToBeSought:
        return []


def _key_packets(path: str) -> tuple[list[int], int]:
    """Numbers of the packets with key frames, and of all. Nothing decoded."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    keys, number = [], 0
    while capture.grab():
        if capture.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME):
            keys.append(number)
        number += 1
    return keys, number


def _requests(keys: Sequence[int], num_frames: int) -> list[int]:
    """What to ask OpenCV for, so that it goes back to a key frame.

    Args:
        keys (Sequence[int]): Numbers of the key frames.
        num_frames (int): Number of frames.

    Returns:
        list[int]: Frame numbers in order, empty if seeking does not pay.
    """
    requests = [0]
    for key in keys:
        request = key + OPENCV_GOES_BACK
        if requests[-1] + SPACING <= request < num_frames:
            requests.append(request)
    starts = np.arange(num_frames)
    places = np.asarray(requests)
    past = starts - places[np.searchsorted(places, starts, side='right') - 1]
    decoded = CLIP_LEN + np.minimum(starts, past + SEEK_COST)
    if decoded.sum() > WORTH * (CLIP_LEN + starts).sum():
        return []
    return requests[1:]


def _land(
    capture: cv2.VideoCapture, request: int
) -> Optional[tuple[float, int]]:
    """Seek and grab; time and checksum of the frame, None without one."""
    capture.set(cv2.CAP_PROP_POS_FRAMES, request)
    if not capture.grab():
        return None
    return capture.get(cv2.CAP_PROP_POS_MSEC), _checksum(capture)


def _checksum(capture: cv2.VideoCapture) -> int:
    good, frame = capture.retrieve()
    return zlib.crc32(frame.data) if good else -1


class _Search:
    """Decodes a video from its start, and beside it from each place.

    Args:
        path (str): The video.
        capture (cv2.VideoCapture): The same, just opened.
        deadline (float): Until when, by ``time.monotonic``.
    """

    def __init__(
        self, path: str, capture: cv2.VideoCapture, deadline: float
    ) -> None:
        self._path = path
        self._capture = capture
        self._deadline = deadline
        self._number, self._time = -1, -1.0
        self._times: list[float] = []
        # Began at the last place that was found.
        self._follower: Optional[cv2.VideoCapture] = None

    def run(self, requests: Sequence[int]) -> list[SeekPoint]:
        """Places that seeks reach.

        Args:
            requests (Sequence[int]): What OpenCV is asked for, in order.

        Returns:
            list[SeekPoint]: In order.

        Raises:
            _NotToBeSought: See there.
        """
        points = []
        for request in requests:
            follower = open_video(self._path)
            landed = _land(follower, request)
            # Where the last one landed, there is no new place.
            if landed is None or landed[0] <= self._time:
                continue
            while self._time < landed[0] and self._decode():
                pass
            if self._time != landed[0]:
                continue
            if _checksum(self._capture) != landed[1]:
                raise _NotToBeSought
            points.append(SeekPoint(self._number, request, *landed))
            self._follower = follower
        while self._decode():
            pass
        return [p for p in points if self._times.count(p.msec) == 1]

    def _decode(self) -> bool:
        """The next frame, compared; whether there is one."""
        if time.monotonic() > self._deadline:
            raise _NotToBeSought
        if not self._capture.grab():
            return False
        self._number += 1
        self._time = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        self._times.append(self._time)
        if self._follower is not None and not _same_next(
            self._follower, self._capture
        ):
            raise _NotToBeSought
        return True


def _same_next(follower: cv2.VideoCapture, capture: cv2.VideoCapture) -> bool:
    """Whether one decoder's next frame is the frame of another."""
    if not follower.grab():
        return False
    return np.array_equal(follower.retrieve()[1], capture.retrieve()[1])

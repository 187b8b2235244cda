"""Places in a video from which reading may begin, found once and verified.

A decoder that seeks need not land where it says: of a variable frame rate
OpenCV knows only the mean, and damaged files mislead any decoder. So a video
is sought only where each seek that was tried lands on a frame with the time
and the pixels of one that decoding from the start gives, and where decoding on
gives the same frames up to the next place. Each later seek compares time and
pixels again.

Imported by ``probe_worker.py``, which runs without torch and MMAction2.
"""

import time
from collections.abc import Sequence
from typing import Optional

import cv2
import numpy as np

if __package__:
    from .frame_source import SEEK_COST, SeekPoint, checksum, land, open_video
else:
    from frame_source import (  # type: ignore[no-redef]
        SEEK_COST,
        SeekPoint,
        checksum,
        land,
        open_video,
    )

# OpenCV goes to the key frame before the one that is so far before the frame
# asked for, and decodes from there.
OPENCV_GOES_BACK = 16
# Least distance of two places. Closer ones would save a clip some frames, and
# make the search longer and the index larger.
SPACING = 48
# Places pay if a clip of so many frames, anywhere in the video, takes at most
# this share of the decoding on the average.
CLIP_LEN, WORTH = 16, 0.6
# Hours of high resolution take longer; such a video is not sought.
SECONDS_TO_SEARCH = 500


class _NotToBeSought(Exception):
    """A seek led to other frames, or the search takes too long."""


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
            landed = land(follower, request)
            # Where the last one landed, there is no new place.
            if landed is None or landed[0] <= self._time:
                continue
            while self._time < landed[0] and self._decode():
                pass
            if self._time != landed[0]:
                continue
            if checksum(self._capture) != landed[1]:
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

"""Frames of a video file, in order, decoded once."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Callable, Optional, TypeVar

import av
import numpy as np

from .frame_convert import FrameConverter
from .video_facts import KeyPacket
from .video_file import VideoFile
from .yuv_frame import AnyFrame

# Frames that are decoded in the time of a seek.
SEEK_COST = 40
_Image = TypeVar('_Image')


def read_frames(
    path: str, wanted: np.ndarray, keys: Sequence[KeyPacket] = ()
) -> Iterator[tuple[int, np.ndarray]]:
    """Decode frames of a video.

    Args:
        path (str): Video file.
        wanted (np.ndarray): (n,) int64 frame numbers, ascending, each once.
        keys (Sequence[KeyPacket]): Where reading may begin, in order. Sought
            if that is cheaper than reading on; the frames are the same.

    Yields:
        tuple[int, np.ndarray]: Frame number, and the frame as (H, W, 3)
        uint8, BGR, upright, not to be written to.

    Raises:
        ValueError: The file cannot be opened, decoded or converted, or ends
            before the last wanted frame; the message names the file.
    """
    return _read(path, wanted, keys, FrameConverter())


def read_lazy_frames(
    path: str, wanted: np.ndarray, keys: Sequence[KeyPacket] = ()
) -> Iterator[tuple[int, AnyFrame]]:
    """Decode frames of a video for those who need a part of their pixels.

    Args:
        path, wanted, keys: See :func:`read_frames`.

    Yields:
        tuple[int, np.ndarray | YuvFrame]: Frame number, and the frame as
        :func:`read_frames` gives it or as it is before that.

    Raises:
        ValueError: See :func:`read_frames`.
    """
    return _read(path, wanted, keys, FrameConverter().lazily)


def _read(
    path: str,
    wanted: np.ndarray,
    keys: Sequence[KeyPacket],
    convert: Callable[[av.VideoFrame], _Image],
) -> Iterator[tuple[int, _Image]]:
    reading = _Reading(path, keys)
    try:
        for number in wanted.tolist():
            frame = reading.frame(number)
            try:
                image = convert(frame)
            except ValueError as error:
                raise ValueError(f'{path}: {error}') from error
            yield number, image
    finally:
        reading.close()


class _Reading:
    """Reads frames in order.

    Args:
        path (str): Video file.
        keys (Sequence[KeyPacket]): Where reading may begin, in order.
    """

    def __init__(self, path: str, keys: Sequence[KeyPacket]) -> None:
        self._path, self._keys = path, keys
        self._open()

    def _open(self) -> None:
        self._video = VideoFile(self._path)
        self._frames = self._video.decode(self._video.packets())
        self._position, self._has_sought = 0, False

    def close(self) -> None:
        """Close the file."""
        self._video.close()

    def frame(self, number: int) -> av.VideoFrame:
        """A frame behind those that were read.

        Args:
            number (int): Its number.

        Returns:
            av.VideoFrame: As decoded.

        Raises:
            ValueError: See :func:`read_frames`.
        """
        key = _cheaper(self._keys, self._position, number)
        if key and not self._seek(key):
            self._read_from_start()
        try:
            return self._read_on(number)
        except ValueError:
            if not self._has_sought:
                raise
            # From the start on the index has decoded it.
            self._read_from_start()
            return self._read_on(number)

    def _read_from_start(self) -> None:
        self.close()
        self._keys = ()
        self._open()

    def _read_on(self, number: int) -> av.VideoFrame:
        for frame in self._frames:
            self._position += 1
            if self._position > number:
                return frame
        raise ValueError(
            f'{self._path}: frame {number} was asked for (counted from 0), '
            f'but the decoder gave only {self._position} frames'
        )

    def _seek(self, key: KeyPacket) -> bool:
        """Go on from a key packet; whether it was found."""
        video = self._video
        self._has_sought = True
        # Some demuxers know where packets are by the one, some by the other.
        for time in dict.fromkeys((key.dts, key.pts)):
            try:
                video.container.seek(time, stream=video.stream)
                frames = video.decode(_packets_from(video, key))
                for frame in frames:
                    if frame.pts == key.pts:
                        self._frames = chain([frame], frames)
                        self._position = key.frame
                        return True
                    if frame.pts is None or frame.pts > key.pts:
                        break
            except (av.FFmpegError, ValueError):
                continue
        return False


def _packets_from(video: VideoFile, key: KeyPacket) -> Iterator[av.Packet]:
    """The packets from a key packet on; none if it has been passed."""
    packets = video.packets()
    for packet in packets:
        if (packet.pts, packet.dts) == (key.pts, key.dts):
            yield packet
            yield from packets
        elif packet.dts is not None and packet.dts > key.dts:
            return


def _cheaper(
    keys: Sequence[KeyPacket], position: int, number: int
) -> Optional[KeyPacket]:
    """The last key packet up to a frame, if reading on there takes longer.

    Args:
        keys (Sequence[KeyPacket]): In order.
        position (int): Number of the next frame to be decoded.
        number (int): Number of the wanted frame.

    Returns:
        KeyPacket, optional: None if reading on is cheaper.
    """
    if number - position <= SEEK_COST:
        return None
    before = [key for key in keys if key.frame <= number]
    if before and before[-1].frame - position > SEEK_COST:
        return before[-1]
    return None

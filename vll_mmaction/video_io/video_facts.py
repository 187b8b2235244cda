"""What decoding a video once tells of it: a row of the frame index."""

from dataclasses import dataclass
from typing import NamedTuple


class KeyPacket(NamedTuple):
    """A packet from which decoding may begin.

    Args:
        frame (int): Number of its frame in order of presentation, from 0.
        pts (int): Its time of presentation, in the stream's time base.
        dts (int): Its time of decoding, likewise.
    """

    frame: int
    pts: int
    dts: int


@dataclass(frozen=True)
class VideoFacts:
    """What is known of a video file, or why it cannot be used.

    Args:
        frames (int): Number of frames that the ``ffmpeg`` program shows; 0 if
            the video cannot be used.
        width (int): Of the frames as they are given, upright, in pixels.
        height (int): Likewise.
        pixel_format (str): FFmpeg's name of the decoded format.
        keys (tuple[KeyPacket, ...]): Where reading may begin, in order. Empty
            unless the frames' times strictly increase.
        reason (str): Why it cannot be used, '' if it can.
        decord (str): How decord's frames differ from these, '' if they don't.
    """

    frames: int = 0
    width: int = 0
    height: int = 0
    pixel_format: str = ''
    keys: tuple[KeyPacket, ...] = ()
    reason: str = ''
    decord: str = ''

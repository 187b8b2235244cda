"""Decoded frames as pixels: upright, and with the colours of their tags.

To the last bit those of the ``ffmpeg`` program with ``-pix_fmt rgb24``, which
is the rule here. Most frames are converted by PyAV's reformatter, which is
fast; it rounds others differently with some versions of FFmpeg, and these go
through a graph of filters as they would in the program.
"""

import functools
import math
from typing import Any, Optional

import av
import cv2
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import (
    ColorRange,
    Colorspace,
    Interpolation,
    VideoReformatter,
)

from . import fast_resize
from .yuv_frame import MATRICES, AnyFrame, YuvFrame, colour_factors

# Filters of a turn by 90, 180 and 270 degrees.
TURNS = (
    (('transpose', 'clock'),),
    (('hflip', ''), ('vflip', '')),
    (('transpose', 'cclock'),),
)
_ONE_THREAD = {} if int(av.__version__.split('.')[0]) < 17 else {'threads': 1}


class FrameConverter:
    """Converts the frames of a video, each by its own tags."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._graph: Optional[Graph] = None
        self._graph_is_for: tuple = ()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Convert a frame.

        Args:
            frame (av.VideoFrame): As decoded.

        Returns:
            np.ndarray: (H, W, 3) uint8, BGR, upright; its rows are
            contiguous, but need not follow each other. Not to be written to.

        Raises:
            ValueError: It is to be turned by an angle that is no multiple of
                90 degrees, or cannot be converted.
        """
        steps = orientation(frame)
        if not steps and _is_plain(frame):
            return _reformatted(
                self._reformatter,
                frame,
                int(frame.colorspace),
                int(frame.color_range),
            )
        # To BGR this rounds in other ways than to RGB.
        return cv2.cvtColor(
            _pixels(self._filtered(frame, steps)), cv2.COLOR_RGB2BGR
        )

    def lazily(self, frame: av.VideoFrame) -> AnyFrame:
        """Convert a frame, unless the pixels of a crop can be had alone.

        Args:
            frame (av.VideoFrame): As decoded.

        Returns:
            np.ndarray | YuvFrame: As above, or what :class:`FastResize`
            converts, to the same pixels.

        Raises:
            ValueError: As above.
        """
        if (
            fast_resize.resize_crop is not None
            and not orientation(frame)
            and _is_plain(frame)
        ):
            factors = _exact_factors(
                frame.width,
                frame.format.name,
                int(frame.colorspace),
                int(frame.color_range),
            )
            if factors is not None:
                lazy = YuvFrame(frame, factors, self)
                # Else the last row comes first, which is left to swscale.
                if min(lazy.strides) > 0:
                    return lazy
        return self(frame)

    def _filtered(
        self, frame: av.VideoFrame, steps: tuple[tuple[str, str], ...]
    ) -> av.VideoFrame:
        key = (
            *(frame.width, frame.height, frame.format.name),
            *(int(frame.colorspace), int(frame.color_range), steps),
        )
        try:
            if self._graph is None or self._graph_is_for != key:
                self._graph, self._graph_is_for = _make_graph(*key), key
            self._graph.vpush(frame)
            return self._graph.vpull()
        except (av.FFmpegError, ValueError) as error:
            raise ValueError(
                f'frames of {frame.format.name} with colours by matrix '
                f'{int(frame.colorspace)} (see AVColorSpace) cannot be '
                f'converted to RGB: {error}'
            ) from error


def _reformatted(
    reformatter: VideoReformatter,
    frame: av.VideoFrame,
    colorspace: int,
    color_range: int,
) -> np.ndarray:
    """A plain frame, (H, W, 3) uint8, BGR, by its matrix and range."""
    converted = reformatter.reformat(
        frame,
        format='bgr24',
        interpolation=Interpolation.BICUBIC,
        # PyAV 15 forgets the range if the matrices are equal. 6 is as 5.
        src_colorspace=6 if colorspace == Colorspace.ITU601 else colorspace,
        dst_colorspace=Colorspace.ITU601,
        src_color_range=color_range,
        dst_color_range=ColorRange.JPEG,
        **_ONE_THREAD,
    )
    return _pixels(converted)


@functools.lru_cache(maxsize=2**12)
def _exact_factors(
    width: int, pixel_format: str, colorspace: int, color_range: int
) -> Optional[tuple[int, ...]]:
    """Factors by which the compiled part gives the reformatter's pixels.

    Args:
        width (int): Of the frames.
        pixel_format (str): Of plain frames.
        colorspace (int): Their matrix.
        color_range (int): Their range.

    Returns:
        tuple[int, ...], optional: See :func:`colour_factors`; None if the
        pixels of noise differ.
    """
    height = 64
    noise = av.VideoFrame(width, height, pixel_format)
    rng = np.random.default_rng(0)
    planes: Any = noise.planes
    for plane in planes:
        values = np.frombuffer(plane, np.uint8)
        values[:] = rng.integers(0, 256, len(values), np.uint8)
    factors = colour_factors(colorspace, color_range == ColorRange.JPEG)
    found = np.empty((height, width, 3), np.uint8)
    size = width, height
    fast_resize.FastResize(size, size, (0, 0, *size), False)(
        YuvFrame(noise, factors, _pixels), found.transpose(2, 0, 1)[::-1]
    )
    wanted = _reformatted(VideoReformatter(), noise, colorspace, color_range)
    return factors if np.array_equal(found, wanted) else None


def _pixels(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8 of a frame of 24 bits a pixel, without a copy."""
    plane: Any = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(
        frame.height, plane.line_size
    )
    return rows[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)


def _is_plain(frame: av.VideoFrame) -> bool:
    """Whether the reformatter of every version of PyAV is right."""
    if frame.width % 2 or frame.height % 2 or frame.interlaced_frame:
        return False
    if int(frame.colorspace) not in MATRICES:
        return False
    name = frame.format.name
    is_full = int(frame.color_range) == ColorRange.JPEG
    return name == 'yuv420p' or (name == 'yuvj420p' and is_full)


def _make_graph(
    width: int,
    height: int,
    pixel_format: str,
    colorspace: int,
    color_range: int,
    steps: tuple[tuple[str, str], ...],
) -> Graph:
    """A graph that turns frames and converts them, as the program makes it."""
    graph = Graph()
    if _ONE_THREAD:
        graph.threads = 1
    nodes = [
        graph.add(
            'buffer',
            video_size=f'{width}x{height}',
            pix_fmt=pixel_format,
            time_base='1/25',
            colorspace=str(colorspace),
            range=str(color_range),
        )
    ]
    nodes += [graph.add(name, argument) for name, argument in steps]
    # FFmpeg puts the scaler where it belongs.
    nodes += [graph.add('format', 'rgb24'), graph.add('buffersink')]
    graph.link_nodes(*nodes)
    graph.configure()
    return graph


def orientation(frame: av.VideoFrame) -> tuple[tuple[str, str], ...]:
    """Filters that turn a frame upright, as the ``ffmpeg`` program does.

    Args:
        frame (av.VideoFrame): As decoded.

    Returns:
        tuple[tuple[str, str], ...]: Name and argument of each.

    Raises:
        ValueError: The angle is no multiple of 90 degrees.
    """
    # `frame.side_data` is kept by the frame and keeps it: its memory would be
    # free for others only when the garbage collector has found both.
    data: Any = SideDataContainer(frame)
    if not len(data):
        return ()
    found = data.get(SideDataType.DISPLAYMATRIX)
    if found is None:
        return ()
    matrix = np.frombuffer(bytes(found), np.int32).tolist()
    # Columns are scaled to one; (x, y) goes to (a x + c y, b x + d y).
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    across, down = math.hypot(a, c), math.hypot(b, d)
    if not across or not down:
        return ()
    angle = round(math.degrees(math.atan2(b / down, a / across))) % 360
    if angle == 0:
        return (('vflip', ''),) if d < 0 else ()
    if angle == 90:
        return (('transpose', 'cclock_flip' if c > 0 else 'clock'),)
    if angle == 180:
        flips = []
        if a < 0:
            flips.append(('hflip', ''))
        if d < 0:
            flips.append(('vflip', ''))
        return tuple(flips)
    if angle == 270:
        return (('transpose', 'clock_flip' if c < 0 else 'cclock'),)
    raise ValueError(
        f'its header turns its frames by {angle} degrees, and only multiples '
        'of 90 are read here: convert it to upright frames'
    )


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height of a frame that is turned upright."""
    swaps = any(name == 'transpose' for name, _ in orientation(frame))
    size = frame.width, frame.height
    return size[::-1] if swaps else size

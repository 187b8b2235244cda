"""Frames that stay as they were decoded, for the pixels that are needed.

Most videos are 8-bit 4:2:0. Where of such a frame only a resized crop is
wanted, the compiled part converts the pixels of the crop alone, see
``fast_resize.py``.
"""

import functools
from typing import Any, Callable, Union

import av
import numpy as np

# Of FFmpeg's `sws_getCoefficients`, by `AVColorSpace`: V to red, U to blue, U
# and V to green, all of 16 bits.
_FACTORS = {
    1: (117489, 138438, 13975, 34925),  # BT.709
    2: (104597, 132201, 25675, 53279),  # unspecified: BT.601
    4: (104448, 132798, 24759, 53109),  # FCC
    5: (104597, 132201, 25675, 53279),  # BT.470BG: BT.601
    6: (104597, 132201, 25675, 53279),  # SMPTE 170M: BT.601
    7: (117579, 136230, 16907, 35559),  # SMPTE 240M
    9: (110013, 140363, 12277, 42626),  # BT.2020
}
MATRICES = tuple(_FACTORS)


def colour_factors(colorspace: int, is_full: bool) -> tuple[int, ...]:
    """What swscale's conversion of 4:2:0 to RGB computes with.

    Args:
        colorspace (int): Matrix, one of ``MATRICES`` of ``AVColorSpace``.
        is_full (bool): Whether Y, U and V go from 0 to 255, rather than to
            235 and 240 from 16.

    Returns:
        tuple[int, ...]: 8 times the Y of black; then factors of 13 bits: of
        Y, U to blue, U to green, V to green, V to red.
    """
    v_red, u_blue, u_green, v_green = _FACTORS[colorspace]
    black, y = 16, (255 << 16) // 219
    if is_full:
        black, y = 0, 1 << 16
        v_red, u_blue, u_green, v_green = (
            factor * 224 // 255 for factor in (v_red, u_blue, u_green, v_green)
        )
    factors = y, u_blue, -u_green, -v_green, v_red
    return (8 * black, *((factor + 4) >> 3 for factor in factors))


class YuvFrame:
    """A frame in 8-bit 4:2:0 whose pixels are yet to be converted.

    Args:
        frame (av.VideoFrame): As decoded.
        factors (tuple[int, ...]): Of its colours, see :func:`colour_factors`.
        convert (Callable): Converts all of it, see :class:`FrameConverter`.
    """

    def __init__(
        self,
        frame: av.VideoFrame,
        factors: tuple[int, ...],
        convert: Callable[[av.VideoFrame], np.ndarray],
    ) -> None:
        self.shape = (frame.height, frame.width, 3)
        """tuple[int, int, int]: As of the array of :attr:`bgr`."""
        planes: Any = frame.planes
        self.strides = tuple([plane.line_size for plane in planes])
        """tuple[int, int, int]: Bytes from a row of Y, U, V to the next."""
        size = frame.width, frame.height
        self.source = (size, planes, self.strides, factors)
        """tuple: What ``resize_crop`` of ``_fast_resize.c`` reads from."""
        self._frame, self._convert = frame, convert

    @functools.cached_property
    def bgr(self) -> np.ndarray:
        """np.ndarray: (H, W, 3) uint8, BGR, not to be written to."""
        return self._convert(self._frame)


AnyFrame = Union[np.ndarray, YuvFrame]

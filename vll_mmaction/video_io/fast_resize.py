"""Convert, resize, crop and flip a frame into a clip, in one pass.

Does in ``_fast_resize.c`` what takes swscale and OpenCV several calls, for the
pixels of the crop alone. It is compiled when the package is installed; where
there is no C compiler, no x86-64 processor with AVX2 or another version of
theirs that gives other pixels, they do the work, and the pixels are the same.
"""

import functools
from typing import Optional

import numpy as np

from .yuv_frame import AnyFrame, YuvFrame

try:
    from ._fast_resize import resize_crop
except ImportError:
    resize_crop = None

# Of OpenCV's weights, 11 bits.
ONE = 2048


class FastResize:
    """Bilinear resizing, a crop, and perhaps a horizontal flip.

    Args:
        source (tuple[int, int]): Width and height of what is resized: the
            frames, or a part of them.
        size (tuple[int, int]): Width and height to resize it to.
        box (tuple[int, int, int, int]): Left, top, right, bottom of the crop.
        flip (bool): Whether to flip the crop.
        corner (tuple[int, int]): Left and top of the part of the frames.
            Defaults to (0, 0).
    """

    def __init__(
        self,
        source: tuple[int, int],
        size: tuple[int, int],
        box: tuple[int, int, int, int],
        flip: bool,
        corner: tuple[int, int] = (0, 0),
    ) -> None:
        left, top, right, bottom = box
        columns, column_weights = _columns(source[0], size[0])
        rows, row_weights = _rows(source[1], size[1])
        self._tables = (
            columns[left:right] + np.int32(corner[0]),
            column_weights[left:right],
            rows[top:bottom] + np.int32(corner[1]),
            row_weights[top:bottom],
        )
        self._flip = flip

    @classmethod
    def if_exact(
        cls,
        source: tuple[int, int],
        size: tuple[int, int],
        box: tuple[int, int, int, int],
        flip: bool,
        corner: tuple[int, int] = (0, 0),
    ) -> Optional['FastResize']:
        """One that gives OpenCV's pixels, or None if that cannot be had."""
        if resize_crop is None or not _is_exact(source, size):
            return None
        return cls(source, size, box, flip, corner)

    def __call__(self, frame: AnyFrame, planes: np.ndarray) -> None:
        """Write a frame's crop.

        Args:
            frame (np.ndarray | YuvFrame): As decoded, or (H, W, 3) uint8,
                BGR; its rows must be contiguous, as those of a crop are.
            planes (np.ndarray): (3, height, width) uint8, RGB, of the crop:
                planes whose rows are contiguous, or a view of (height, width,
                3), RGB or BGR, whose rows are.

        Raises:
            TypeError, ValueError: The frame is too small, or an array is not
                as above.
        """
        source = frame.source if isinstance(frame, YuvFrame) else frame
        resize_crop(source, *self._tables, planes, self._flip)


@functools.lru_cache(maxsize=2**12)
def _columns(width: int, new_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each column comes from, as OpenCV's ``resize`` has it.

    Args:
        width (int): Number of columns.
        new_width (int): Number of new ones.

    Returns:
        tuple[np.ndarray, np.ndarray]: (new_width,) int32, the first of the
        two that are mixed, and (new_width, 2) int16, their weights.
    """
    first, share = _positions(width, new_width)
    # Beyond the middle of the outer pixels is their own colour.
    share[(first < 0) | (first >= width - 1)] = 0
    return np.clip(first, 0, width - 1), _weights(share)


@functools.lru_cache(maxsize=2**12)
def _rows(height: int, new_height: int) -> tuple[np.ndarray, np.ndarray]:
    """The same for rows; both that are mixed, (new_height, 2) int32."""
    first, share = _positions(height, new_height)
    both = np.clip(np.stack([first, first + 1], 1), 0, height - 1)
    return both, _weights(share)


def _positions(length: int, new_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel before each new one, and how far behind it that is, from 0 to 1.

    Args:
        length (int): Number of pixels.
        new_length (int): Number of new pixels.

    Returns:
        tuple[np.ndarray, np.ndarray]: (new_length,) int32 and float32.
    """
    scale = 1 / (new_length / length)
    place = ((np.arange(new_length) + 0.5) * scale - 0.5).astype(np.float32)
    before = np.floor(place)
    return before.astype(np.int32), place - before


def _weights(share: np.ndarray) -> np.ndarray:
    """Weights of two pixels, (n, 2) int16, from that of the second."""
    both = np.stack([np.float32(1) - share, share], 1)
    return np.rint(both * np.float32(ONE)).astype(np.int16)


def _is_exact(source: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether this build of OpenCV gives the same pixels.

    Columns and rows are mixed one after the other: each is tried on its own.
    """
    return (
        _gives_the_same((91, 61), (53, 77))
        and _gives_the_same((source[0], 8), (size[0], 8))
        and _gives_the_same((8, source[1]), (8, size[1]))
    )


@functools.lru_cache(maxsize=2**16)
def _gives_the_same(source: tuple[int, int], size: tuple[int, int]) -> bool:
    """Try on noise whether OpenCV gives the same pixels."""
    import mmcv  # which subprocesses that only decode do without

    noise = np.random.default_rng(0).integers(
        0, 256, (source[1], source[0], 3), dtype=np.uint8
    )
    planes = np.empty((3, size[1], size[0]), np.uint8)
    FastResize(source, size, (0, 0, *size), False)(noise, planes)
    wanted = mmcv.imresize(noise, size, interpolation='bilinear')
    return np.array_equal(planes.transpose(1, 2, 0)[..., ::-1], wanted)

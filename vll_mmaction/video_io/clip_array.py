"""Arrays that the clips of a video are written into, frame by frame."""

import functools
from typing import Any, Callable, Optional, Union

import cv2
import numpy as np
import torch
from torch.utils.data import get_worker_info


class _BatchStorage:
    """Memory for the clips of a batch, dealt part by part.

    Args:
        num_clips (int): Clips of the batch.
    """

    def __init__(self, num_clips: int) -> None:
        self._num_clips = num_clips
        self._used = 0
        self._memory: Optional[torch.Tensor] = None

    def take(
        self, shape: tuple[int, ...], dtype: torch.dtype
    ) -> Optional[torch.Tensor]:
        """The next ``shape[0]`` clips; None if they don't fit.

        The first call decides the shape of a clip. A video that replaces
        another may have too many clips.
        """
        if self._memory is None:
            self._memory = _empty((self._num_clips, *shape[1:]), dtype)
        stop = self._used + shape[0]
        fits = self._memory.shape[1:] == shape[1:]
        if stop > self._num_clips or not fits or dtype != self._memory.dtype:
            return None
        part = self._memory[self._used : stop]
        self._used = stop
        return part


_current: Optional[_BatchStorage] = None


def in_one_storage(fetch: Callable) -> Callable:
    """Have a method that reads a batch of clips write them side by side.

    Args:
        fetch (Callable): A dataset's ``__getitems__`` or the like, which gets
            the indices of clips. One may call another, of a part.

    Returns:
        Callable: The method.
    """

    @functools.wraps(fetch)
    def fetch_in_one_storage(self: Any, indices: Any) -> Any:
        global _current
        if _current is not None:
            return fetch(self, indices)
        _current = _BatchStorage(len(indices))
        try:
            return fetch(self, indices)
        finally:
            _current = None

    return fetch_in_one_storage


def shared_empty(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """An uninitialised tensor for clips, (n, ...).

    In a data loader's worker it is in shared memory, and goes through the
    worker's queue without a copy. While a batch is read, see
    :func:`in_one_storage`, it is a part of the batch's memory.

    Args:
        shape (tuple[int]): Its shape, clips first.
        dtype (torch.dtype): Its type.

    Returns:
        torch.Tensor: Contiguous.
    """
    part = None if _current is None else _current.take(shape, dtype)
    return _empty(shape, dtype) if part is None else part


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    if get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    size = int(np.prod(shape)) * torch.empty((), dtype=dtype).element_size()
    storage = torch.UntypedStorage._new_shared(size)
    return torch.empty(0, dtype=dtype).set_(
        storage, 0, shape, torch.empty(shape, device='meta').stride()
    )


class InterleavedClips:
    """Frames as stock decoders give them, for any stock transform.

    Args:
        num_clips (int): Number of clips.
        clip_len (int): Frames in a clip.
        shape (tuple[int, int]): Height and width of the frames.
    """

    def __init__(
        self, num_clips: int, clip_len: int, shape: tuple[int, ...]
    ) -> None:
        self.imgs = np.empty((num_clips * clip_len, *shape, 3), np.uint8)
        """np.ndarray: (num_clips * clip_len, H, W, 3) uint8, RGB."""

    def write(self, place: int, image: np.ndarray) -> None:
        """Write a frame.

        Args:
            place (int): Clip number * clip_len + frame of the clip.
            image (np.ndarray): (H, W, 3) uint8, BGR.
        """
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=self.imgs[place])

    def planes(self, place: int) -> np.ndarray:
        """Where a frame is to be written, (3, H, W) uint8, RGB, a view."""
        return self.imgs[place].transpose(2, 0, 1)


class PlanarClips:
    """Frames in the order in which a network takes them.

    A slice of one clip's frames is a view that ``FormatShape`` turns into a
    contiguous (1, C, T, H, W) without a copy.

    Args:
        num_clips (int): Number of clips.
        clip_len (int): Frames in a clip.
        shape (tuple[int, int]): Height and width of the frames.
    """

    def __init__(
        self, num_clips: int, clip_len: int, shape: tuple[int, ...]
    ) -> None:
        self.clip_len = clip_len
        self.tensor = shared_empty(
            (num_clips, 3, clip_len, *shape), torch.uint8
        )
        """torch.Tensor: (num_clips, 3, clip_len, H, W) uint8, RGB."""
        self._array = self.tensor.numpy()

    def write(self, place: int, image: np.ndarray) -> None:
        """Write a frame, see :meth:`InterleavedClips.write`."""
        red, green, blue = self.planes(place)
        cv2.split(image, [blue, green, red])

    def planes(self, place: int) -> np.ndarray:
        """See :meth:`InterleavedClips.planes`."""
        clip, time = divmod(place, self.clip_len)
        return self._array[clip, :, time]

    @property
    def imgs(self) -> 'PlanarClips':
        """PlanarClips: Itself: a sequence of frames, sliced by clip."""
        return self

    def __len__(self) -> int:
        """Number of frames of all clips."""
        return len(self._array) * self.clip_len

    def __getitem__(self, frames: Union[int, slice]) -> np.ndarray:
        """A frame, or the frames of one clip.

        Args:
            frames (int | slice): Number of a frame from 0, or a slice from
                clip * clip_len to (clip + 1) * clip_len.

        Returns:
            np.ndarray: (H, W, 3) or (clip_len, H, W, 3) uint8, RGB, a view.
        """
        if not isinstance(frames, slice):
            clip, time = divmod(frames, self.clip_len)
            return self._array[clip, :, time].transpose(1, 2, 0)
        clip, rest = divmod(frames.start, self.clip_len)
        if rest or frames.stop - frames.start != self.clip_len:
            raise IndexError(f'{frames} is not one clip of {self.clip_len}')
        return self._array[clip].transpose(1, 2, 3, 0)

    def holds(self, clip: int, inputs: torch.Tensor) -> bool:
        """Whether packed inputs are a clip of this array, not a copy.

        Args:
            clip (int): Number of the clip.
            inputs (torch.Tensor): (1, C, T, H, W).

        Returns:
            bool: True if same memory in same order.
        """
        own = self.tensor[clip]
        return (
            inputs.data_ptr() == own.data_ptr()
            and inputs.shape[1:] == own.shape
            and inputs.is_contiguous()
        )

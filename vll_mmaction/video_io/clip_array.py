"""Arrays that the clips of a video are written into, frame by frame."""

from typing import Union

import cv2
import numpy as np
import torch
from torch.utils.data import get_worker_info


def shared_empty(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """An uninitialised tensor, in shared memory in a data loader's worker.

    What is made there goes through the worker's queue without a copy.

    Args:
        shape (tuple[int]): Its shape.
        dtype (torch.dtype): Its type.

    Returns:
        torch.Tensor: Contiguous.
    """
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

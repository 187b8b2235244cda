"""Which clips a data set has: clip indices run video by video."""

from collections.abc import Sequence
from typing import Union

import numpy as np


class ClipTable:
    """Translates clip indices to videos and their clips.

    Args:
        clip_counts (np.ndarray): (num_videos,) int64, clips of each video.
        labels (np.ndarray): (num_videos,) int64.
    """

    def __init__(self, clip_counts: np.ndarray, labels: np.ndarray) -> None:
        self.clip_counts = clip_counts
        self.labels = labels
        self._ends = np.cumsum(clip_counts)

    @property
    def num_clips(self) -> int:
        """int: Number of all clips."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, idx: int) -> tuple[int, int]:
        """Video and clip number of a clip index.

        Args:
            idx (int): Clip index; negative ones count from the end.

        Returns:
            tuple[int, int]: Number of the video, and of its clip.

        Raises:
            IndexError: There is no such clip.
        """
        idx = int(idx)
        if not -self.num_clips <= idx < self.num_clips:
            raise IndexError(
                f'clip index {idx} is out of range: there are {self.num_clips}'
            )
        idx %= self.num_clips
        video = int(np.searchsorted(self._ends, idx, side='right'))
        return video, int(idx - self._ends[video] + self.clip_counts[video])

    def video_numbers(self, indices: Union[Sequence[int], int]) -> np.ndarray:
        """The videos that ``indices`` of a dataset choose.

        Args:
            indices (int or Sequence[int]): Numbers of videos; an int means
                the first, a negative int the last so many.

        Returns:
            np.ndarray: (n,) int64 video numbers, 0 and above.

        Raises:
            IndexError: Some are beyond the videos there are.
        """
        num_videos = len(self.clip_counts)
        numbers = np.arange(num_videos)
        try:
            if not isinstance(indices, (int, np.integer)):
                return numbers[np.asarray(indices, dtype=np.int64)]
            if abs(indices) > num_videos:
                raise IndexError
            return numbers[:indices] if indices >= 0 else numbers[indices:]
        except IndexError:
            raise IndexError(
                f'indices {indices} choose videos beyond the {num_videos} '
                'there are'
            ) from None

"""What becomes of videos that cannot be read while training.

Each is replaced by one whole other video, named and counted; too many of
them end the training. (What is bad before training starts, the frame index
finds.)
"""

import logging
from collections.abc import Sequence
from itertools import islice
from typing import Callable

import numpy as np
from mmengine.logging import print_log

from ..video_io.read_watch import ReadWatch
from .clip_table import ClipTable
from .samplers.clip_batch import ClipBatch, draw_key

# How many other videos are tried in place of one that cannot be read.
MAX_REPLACEMENTS = 10
# Leads the seed of the draw of a replacement, apart from those of clips.
REPLACEMENT = 2**31


class UnreadableVideo(RuntimeError):
    """A video could not be read; holds which and why."""

    @classmethod
    def by(
        cls, transform: Callable, name: str, error: Exception
    ) -> 'UnreadableVideo':
        """What to raise where a transform failed.

        Args:
            transform (Callable): The transform.
            name (str): The video in messages.
            error (Exception): What it raised.

        Returns:
            UnreadableVideo: To be raised.
        """
        return cls(
            f'{name} failed in {type(transform).__name__}: '
            f'{type(error).__name__}: {str(error)[:300]}'
        )


class VideoReplacement:
    """Replaces videos of one dataset that cannot be read.

    Args:
        table (ClipTable): Its videos and clips.
        max_bad_videos (float): Share of bad videos above which training ends,
            0 to 1; one is always allowed, unless it is 0.
        name (Callable[[int], str]): Gives a video's name, for messages.
        load (Callable): Gives the samples of some clips of a video, from its
            number, those of the clips and the batch.
    """

    def __init__(
        self,
        table: ClipTable,
        max_bad_videos: float,
        name: Callable[[int], str],
        load: Callable[[int, Sequence[int], ClipBatch], list[dict]],
    ) -> None:
        self.watch = ReadWatch(len(table), name)
        self._table = table
        self._max_bad_videos = max_bad_videos
        self._name = name
        self._load = load
        self._errors: dict[int, str] = {}

    def __deepcopy__(self, memo: dict) -> 'VideoReplacement':
        return self  # a subset makes one of its own

    def load_another(
        self,
        video: int,
        clips: Sequence[int],
        batch: ClipBatch,
        taken: set[int],
        error: UnreadableVideo,
    ) -> list[dict]:
        """Clips of another video in place of one that cannot be read.

        The other one is drawn from (seed, epoch, video) and is none of the
        batch's, so that no video's clips mix with another's. If all clips of
        the video were asked for, all of the other come.

        Args:
            video (int): Number of the video.
            clips (Sequence[int]): Which of its clips were asked for.
            batch (ClipBatch): For which they are read.
            taken (set[int]): Videos of the batch; the other one joins them.
            error (UnreadableVideo): Why it cannot be read.

        Returns:
            list[dict]: Packed samples.

        Raises:
            UnreadableVideo: Ten others cannot be read either.
            RuntimeError: Too many videos could not be read.
        """
        whole = len(clips) == self._table.clip_counts[video]
        rng = np.random.default_rng(draw_key(batch.key, REPLACEMENT, video))
        order = map(int, rng.permutation(len(self._table)))
        others = (other for other in order if other not in taken)
        for other in islice(others, MAX_REPLACEMENTS):
            self._note(video, error)
            count = int(self._table.clip_counts[other])
            chosen = np.arange(count)
            if not whole:
                chosen = np.sort(rng.permutation(count)[: len(clips)])
            try:
                samples = self._load(other, chosen.tolist(), batch)
            except UnreadableVideo as next_error:
                video, error = other, next_error
                continue
            taken.add(other)
            # As an error, since other ranks than 0 print nothing else.
            print_log(
                f'{error}. {self._name(other)} takes its place. '
                f'Unreadable so far: {int(self.watch.unreadable.sum())} of '
                f'{len(self._table)}.',
                'current',
                level=logging.ERROR,
            )
            return samples
        raise error

    def _note(self, video: int, error: UnreadableVideo) -> None:
        """Count a bad video; too many of them end the training."""
        self._errors[video] = str(error)
        self.watch.unreadable[video] = 1
        limit = int(self._max_bad_videos * len(self._table))
        if self._max_bad_videos:
            limit = max(1, limit)
        bad = self.watch.unreadable.nonzero().flatten().tolist()
        if len(bad) > limit:
            listed = '\n  '.join(
                self._errors.get(
                    number, f'{self._name(number)}: see the log above'
                )
                for number in bad
            )
            raise RuntimeError(
                f'{len(bad)} videos could not be read, more than '
                f'max_bad_videos={self._max_bad_videos:g} of '
                f'{len(self._table)}:\n  {listed}'
            ) from error

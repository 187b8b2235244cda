"""Batches of clips: of whole videos, or of any clips for clip level."""

import zlib
from collections.abc import Iterator

import numpy as np
from mmaction.registry import DATA_SAMPLERS
from mmengine.dist import all_gather_object, is_distributed
from torch.utils.data import Sampler

from ..transforms.clip_sampling import _check_positive_int
from .clip_batch import ClipBatch
from .video_sampler import VideoGroupedSampler


def _check_ranks_agree(sampler: Sampler) -> None:
    """Refuse ranks that have different videos: their steps would not match.

    So it may be where each machine has its own copy of the data, or found
    other videos bad when it counted their frames.
    """
    if not is_distributed():
        return
    own = np.asarray(getattr(sampler, 'clip_counts', [len(sampler)]))
    found = all_gather_object((len(own), zlib.crc32(own.tobytes())))
    if len(set(found)) > 1:
        sizes = ', '.join(
            f'rank {rank}: {size} (checksum {checksum:08x})'
            for rank, (size, checksum) in enumerate(found)
        )
        raise RuntimeError(
            'The ranks have different videos, or videos of different lengths '
            f'({sizes}): they would wait for each other for ever. Compare '
            'the files of the videos on all machines, and the lists of '
            'videos that were left out (<frame index>.bad.txt).'
        )


class KeyedBatchSampler(Sampler):
    """Batches that carry (seed, epoch) of their sampler to the dataset."""

    def __init__(
        self, sampler: Sampler, batch_size: int, drop_last: bool = False
    ) -> None:
        _check_positive_int('batch_size', batch_size)
        _check_ranks_agree(sampler)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self._done: dict = {}

    def skip(self, epoch: int, batches: int) -> None:
        """Leave out the first batches of an epoch: a stopped run did them.

        Args:
            epoch (int): Number of the epoch, from 0.
            batches (int): Number of batches.
        """
        self._done = {epoch: batches}

    def _begin(self) -> tuple[int, tuple[int, int]]:
        """Batches to skip, and the key of this iteration's batches.

        Asked for when an iteration begins, not with its first batch: MMEngine
        may set another epoch in between.
        """
        seed, epoch = int(self.sampler.seed), int(self.sampler.epoch)
        return self._done.get(epoch, 0), (seed, epoch)


@DATA_SAMPLERS.register_module()
class VideoGroupedBatchSampler(KeyedBatchSampler):
    """Batches of all clips of whole videos: the batch size is dynamic.

    Args:
        sampler (VideoGroupedSampler): Says which videos make a step.
        batch_size (int): Whole videos a batch, on each rank.
        drop_last (bool): Whether the videos that do not fill the last step
            are left out of the epoch, rather than filled up with videos of
            its start. Defaults to False.
    """

    def __init__(
        self, sampler: Sampler, batch_size: int, drop_last: bool = False
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)
        if not isinstance(sampler, VideoGroupedSampler):
            raise TypeError(
                'VideoGroupedBatchSampler needs '
                "sampler=dict(type='VideoGroupedSampler'), got "
                f'{type(sampler).__name__}'
            )
        if len(self) < 1:
            raise ValueError(
                f'batch_size={batch_size} videos on each of '
                f'{sampler.world_size} ranks with drop_last=True leaves no '
                f'batch of the {sampler.num_videos} videos there are.'
            )

    def __iter__(self) -> Iterator[ClipBatch]:
        sampler = self.sampler
        skip, key = self._begin()
        steps = sampler.deal(self.batch_size, self.drop_last)
        return (
            ClipBatch(sampler.clips(videos).tolist(), key)
            for videos in steps[skip:, sampler.rank]
        )

    def __len__(self) -> int:
        return self.sampler.num_steps(self.batch_size, self.drop_last)


@DATA_SAMPLERS.register_module()
class ClipBatchSampler(KeyedBatchSampler):
    """Batches of equally many clips, for clip-level training.

    What PyTorch's batch sampler yields, marked with (seed, epoch), so that
    crops and flips of clip-level training are as reproducible as those of
    video-level training.

    Args:
        sampler (Sampler): Yields clip indices and has ``seed`` and ``epoch``,
            such as MMEngine's ``DefaultSampler``.
        batch_size (int): Clips a batch, on each rank.
        drop_last (bool): Whether an incomplete last batch is left out.
            Defaults to False.
    """

    def __init__(
        self, sampler: Sampler, batch_size: int, drop_last: bool = False
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)
        for attribute in ('seed', 'epoch'):
            if not hasattr(sampler, attribute):
                raise TypeError(
                    f'ClipBatchSampler needs a sampler with `{attribute}`, '
                    "such as dict(type='DefaultSampler'), got "
                    f'{type(sampler).__name__}'
                )
        if len(self) < 1:
            raise ValueError(
                f'batch_size={batch_size} clips with drop_last=True leaves '
                f'no batch of the {len(sampler)} clips there are.'
            )

    def __iter__(self) -> Iterator[ClipBatch]:
        skip, key = self._begin()
        # As objects the clips of a million videos would take 400 MB.
        clips = np.fromiter(self.sampler, np.int64)
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        return (
            ClipBatch(clips[start : start + self.batch_size].tolist(), key)
            for start in starts[skip:]
        )

    def __len__(self) -> int:
        if self.drop_last:
            return len(self.sampler) // self.batch_size
        return -(-len(self.sampler) // self.batch_size)

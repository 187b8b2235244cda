"""Which videos each rank sees in which step of an epoch."""

from collections.abc import Iterator, Sized
from typing import Optional

import numpy as np
from mmaction.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.runner.runner import _SlicedDataset
from torch.utils.data import Sampler

from ..transforms.clip_sampling import _check_positive_int

# Times that groups are mixed anew if a batch holds a video twice.
MIXING_TRIES = 10


def _clip_counts(dataset: Sized) -> np.ndarray:
    """``clip_counts`` of a dataset, (num_videos,) int64, or a clear error."""
    counts = getattr(dataset, 'clip_counts', None)
    if counts is not None:
        return counts
    if isinstance(dataset, _SlicedDataset):
        dataset = dataset._dataset
    name = type(dataset).__name__
    if hasattr(dataset, 'dataset') or hasattr(dataset, 'datasets'):
        raise TypeError(
            f'{name} hides the clips of the dataset it wraps, so that videos '
            'cannot be kept together. Wrappers that work are RepeatDataset '
            'and ConcatDataset, around VideoClipDataset.'
        )
    raise TypeError(
        f'VideoGroupedSampler needs a dataset whose items are clips, got '
        f"{name}. Use dataset=dict(type='VideoClipDataset', ...)."
    )


@DATA_SAMPLERS.register_module()
class VideoGroupedSampler(Sampler):
    """This rank's clip indices, video by video.

    The order is a function of (seed, epoch). In an epoch each video is seen
    once; all ranks get equally many, for which some of the epoch's first
    videos come again at its end.

    With ``balance``, the ranks of one step carry near-equal numbers of clips,
    so that none waits for the one with the longest video: within windows of
    ``window`` steps the videos are sorted by clip count and cut into groups of
    one a rank, and a step is made of random groups, as many as a batch has
    videos. The batch of a rank is then a random mix; among the ranks there
    are videos of like length.

    Args:
        dataset (Sized): A ``VideoClipDataset``, or a Repeat or Concat wrapper
            around some.
        shuffle (bool): Whether each epoch has another order. Without, batches
            follow the order of the dataset and nothing is balanced. Defaults
            to True.
        seed (int, optional): Seed of the order, the same on all ranks. None
            draws one and shares it among the ranks. Defaults to None.
        balance (bool): Whether to even out the ranks of a step. Defaults to
            True.
        window (int): Steps within which videos are sorted by clip count. More
            steps balance better and mix less: videos of like length meet.
            Defaults to 500.

    Raises:
        TypeError: The dataset does not say which clips make a video.
    """

    def __init__(
        self,
        dataset: Sized,
        shuffle: bool = True,
        seed: Optional[int] = None,
        balance: bool = True,
        window: int = 500,
    ) -> None:
        _check_positive_int('window', window)
        self.rank, self.world_size = get_dist_info()
        self.clip_counts = np.asarray(_clip_counts(dataset), dtype=np.int64)
        self.num_videos = len(self.clip_counts)
        if isinstance(dataset, _SlicedDataset):
            # `num_batch_per_epoch` asks for so many videos an epoch; every
            # other attribute of the slice is the whole dataset's.
            if len(dataset) > self.num_videos:
                raise ValueError(
                    f'num_batch_per_epoch asks for {len(dataset)} videos an '
                    f'epoch (batches x videos a batch x ranks), the dataset '
                    f'has {self.num_videos}. Lower it, or wrap the dataset in '
                    'RepeatDataset.'
                )
            self.num_videos = len(dataset)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.balance = balance
        self.window = window
        self.epoch = 0
        self._first_clips = np.cumsum(self.clip_counts) - self.clip_counts

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch.

        Args:
            epoch (int): Number of the epoch, from 0.
        """
        self.epoch = epoch

    def num_steps(self, batch_size: int = 1, drop_last: bool = False) -> int:
        """Batches of an epoch, the same on every rank and in every epoch.

        Args:
            batch_size (int): Videos a batch.
            drop_last (bool): Whether videos that do not fill a step of all
                ranks are left out, rather than filled up.

        Returns:
            int: Number of batches.
        """
        a_step = batch_size * self.world_size
        if drop_last:
            return self.num_videos // a_step
        return -(-self.num_videos // a_step)

    def deal(self, batch_size: int = 1, drop_last: bool = False) -> np.ndarray:
        """Videos of the current epoch, for all ranks.

        Args:
            batch_size (int): Videos a batch.
            drop_last (bool): See :meth:`num_steps`.

        Returns:
            np.ndarray: (steps, world_size, batch_size) int64 video numbers.
        """
        if batch_size > self.num_videos:
            raise ValueError(
                f'batch_size={batch_size} videos, but the dataset has '
                f'{self.num_videos}, and a batch never holds a video twice.'
            )
        rng = np.random.default_rng((int(self.seed) % 2**63, self.epoch))
        if self.shuffle:
            order = rng.permutation(len(self.clip_counts))[: self.num_videos]
        else:
            order = np.arange(self.num_videos)
        steps = self.num_steps(batch_size, drop_last)
        total = steps * self.world_size * batch_size
        # Fills up with the epoch's start, again and again where the dataset
        # is smaller than a step.
        order = np.resize(order, total)
        # Without repetition inside a step any dealing keeps the videos of a
        # batch distinct; a step with repetitions keeps them only in order.
        distinct = self.num_videos >= self.world_size * batch_size
        if self.balance and self.shuffle and self.world_size > 1 and distinct:
            return self._deal_groups(order, batch_size, rng)
        return order.reshape(steps, self.world_size, batch_size)

    def _deal_groups(
        self, order: np.ndarray, batch_size: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Make steps of groups of videos of like length, one video a rank."""
        a_step = self.world_size * batch_size
        window = np.arange(len(order)) // (self.window * a_step)
        for _ in range(MIXING_TRIES):
            steps = self._mix_groups(order, window, batch_size, rng)
            if batch_size == 1 or len(order) <= self.num_videos:
                return steps
            batches = np.sort(steps, axis=2)
            if (batches[:, :, 1:] != batches[:, :, :-1]).all():
                return steps
        # A batch held both copies of a video that fills up the epoch: on its
        # own the last step has no copies.
        window[-a_step:] = len(order)
        return self._mix_groups(order, window, batch_size, rng, batch_size)

    def _mix_groups(
        self,
        order: np.ndarray,
        window: np.ndarray,
        batch_size: int,
        rng: np.random.Generator,
        apart: int = 0,
    ) -> np.ndarray:
        """Sort videos in windows; mix all groups but the last ``apart``."""
        order = order[np.lexsort((self.clip_counts[order], window))]
        groups = order.reshape(-1, self.world_size)
        mixed, last = np.split(groups, [len(groups) - apart])
        groups = np.concatenate([rng.permutation(mixed), last])
        # The longest of a group must not always be the last rank's.
        groups = rng.permuted(groups, axis=1)
        steps = groups.reshape(-1, batch_size, self.world_size)
        return steps.transpose(0, 2, 1)

    def clips(self, videos: np.ndarray) -> np.ndarray:
        """Clip indices of videos.

        Args:
            videos (np.ndarray): (n,) int64 video numbers.

        Returns:
            np.ndarray: (sum of their clip counts,) int64.
        """
        counts = self.clip_counts[videos]
        shift = self._first_clips[videos] - (np.cumsum(counts) - counts)
        return np.arange(counts.sum()) + np.repeat(shift, counts)

    def __iter__(self) -> Iterator[int]:
        videos = self.deal()[:, self.rank].reshape(-1)
        yield from map(int, self.clips(videos))

    def __len__(self) -> int:
        """Number of this rank's clips in the current epoch."""
        return int(self.clip_counts[self.deal()[:, self.rank]].sum())

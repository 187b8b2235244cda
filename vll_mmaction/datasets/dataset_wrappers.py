"""MMEngine's Repeat and Concat wrappers, passing clips on as clips.

Registered under the stock names in MMAction2's registry, so that configs stay
as they are. Around datasets that know nothing of clips they are the stock
wrappers.
"""

from collections.abc import Iterable, Sequence
from typing import Callable, Optional

import mmengine.dataset
import numpy as np
from mmaction.registry import DATASETS
from mmengine.dataset import force_full_init

from ..video_io.clip_array import in_one_storage
from .samplers.clip_batch import ClipBatch


@DATASETS.register_module()
class RepeatDataset(mmengine.dataset.RepeatDataset):
    """Stock ``RepeatDataset``; a video's repetitions are videos of their own.

    Each repetition has its own video id and draws its own crops.

    Args:
        kwargs: ``dataset``, ``times``, ``lazy_init`` as stock.
    """

    @property
    @force_full_init
    def clip_counts(self) -> Optional[np.ndarray]:
        """np.ndarray: (times * num_videos,) int64; None without clips."""
        counts = getattr(self.dataset, 'clip_counts', None)
        return None if counts is None else np.tile(counts, self.times)

    @property
    def __getitems__(self) -> Optional[Callable[[Sequence[int]], list]]:
        # PyTorch asks whether this is there: None means item by item.
        return self._fetch if self.clip_counts is not None else None

    @in_one_storage
    def _fetch(self, indices: Sequence[int]) -> list[dict]:
        batch = ClipBatch.of(indices)
        times, inner = np.divmod(np.asarray(batch), self._ori_len)
        num_videos = len(self.dataset.clip_counts)
        samples = {}
        for time in np.unique(times).tolist():
            places = np.flatnonzero(times == time)
            part = ClipBatch(
                inner[places].tolist(),
                key=None if batch.key is None else (*batch.key, time),
                video_offset=batch.video_offset + time * num_videos,
            )
            samples[time] = places, self.dataset.__getitems__(part)
        return _in_order(len(batch), samples.values())


@DATASETS.register_module()
class ConcatDataset(mmengine.dataset.ConcatDataset):
    """Stock ``ConcatDataset``, whose videos are those of all its datasets.

    Args:
        kwargs: ``datasets``, ``lazy_init``, ``ignore_keys`` as stock.
    """

    @property
    @force_full_init
    def clip_counts(self) -> Optional[np.ndarray]:
        """np.ndarray: (num_videos of all,) int64; None without clips."""
        counts = [getattr(d, 'clip_counts', None) for d in self.datasets]
        known = [count for count in counts if count is not None]
        return np.concatenate(known) if len(known) == len(counts) else None

    @property
    def __getitems__(self) -> Optional[Callable[[Sequence[int]], list]]:
        # PyTorch asks whether this is there: None means item by item.
        return self._fetch if self.clip_counts is not None else None

    @in_one_storage
    def _fetch(self, indices: Sequence[int]) -> list[dict]:
        batch = ClipBatch.of(indices)
        located = [self._get_ori_dataset_idx(idx) for idx in batch]
        numbers = np.asarray([number for number, _ in located])
        offsets = np.cumsum([0] + [len(d.clip_counts) for d in self.datasets])
        samples = {}
        for number in np.unique(numbers).tolist():
            places = np.flatnonzero(numbers == number)
            part = ClipBatch(
                [located[place][1] for place in places],
                key=None if batch.key is None else (*batch.key, number),
                video_offset=batch.video_offset + int(offsets[number]),
            )
            samples[number] = places, self.datasets[number].__getitems__(part)
        return _in_order(len(batch), samples.values())


def _in_order(
    size: int, parts: Iterable[tuple[np.ndarray, list[dict]]]
) -> list[dict]:
    """Put samples back to the places they were asked for.

    Args:
        size (int): Number of samples asked for.
        parts (Iterable[tuple[np.ndarray, list[dict]]]): Places and samples.

    Returns:
        list[dict]: In the order asked for; part by part where a video was
        replaced by one with more or fewer clips.
    """
    parts = list(parts)
    if any(len(places) != len(samples) for places, samples in parts):
        return [sample for _, samples in parts for sample in samples]
    ordered: list[dict] = [{}] * size
    for places, samples in parts:
        for place, sample in zip(places, samples):
            ordered[place] = sample
    return ordered

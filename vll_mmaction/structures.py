"""Data samples of the clips of a batch, in columns."""

from collections.abc import Iterator, Sequence
from typing import Any, Optional, Union

import numpy as np
import torch
from mmaction.structures import ActionDataSample
from torch import Tensor


class ClipSamples:
    """The data samples of a batch: their labels, and their meta info.

    It is read as a list of ``ActionDataSample``, each of which is made when
    it is first asked for. Between processes go columns: a tensor of its own
    for each label would cost more than all the rest. It stays on the CPU.

    Args:
        labels (np.ndarray): (N, 1) int64, or soft, (N, K) floating point.
        metainfo (dict[str, list]): N values of each key.
    """

    # No `Sequence`: MMEngine would make a list of it, sample by sample.

    def __init__(self, labels: np.ndarray, metainfo: dict[str, list]) -> None:
        self._labels = labels
        self._metainfo = metainfo
        self._made: dict[int, ActionDataSample] = {}

    @classmethod
    def of(
        cls, data_samples: Sequence[ActionDataSample]
    ) -> 'Optional[ClipSamples]':
        """Columns of data samples.

        Args:
            data_samples (Sequence[ActionDataSample]): As a dataset packs them.

        Returns:
            ClipSamples | None: None where they have fields beside
            ``gt_label`` or not all the same ones.
        """
        first = data_samples[0]
        keys = first.metainfo_keys()
        names = {*keys}  # in the order of a set, which may differ
        for sample in data_samples:
            if sample.keys() != ['gt_label'] or (
                {*sample.metainfo_keys()} != names
                or sample.gt_label.shape != first.gt_label.shape
                or sample.gt_label.dtype != first.gt_label.dtype
            ):
                return None
        labels = torch.stack([sample.gt_label for sample in data_samples])
        metainfo = {
            key: [sample.get(key) for sample in data_samples] for key in keys
        }
        return cls(labels.numpy(), metainfo)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._labels)

    def __getitem__(
        self, index: Union[int, slice]
    ) -> Union[ActionDataSample, list[ActionDataSample]]:
        """A data sample, the same each time, or a list of some."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        if index not in self._made:
            sample = ActionDataSample()
            sample.gt_label = torch.from_numpy(self._labels[index])
            sample.set_metainfo(
                {key: values[index] for key, values in self._metainfo.items()}
            )
            self._made[index] = sample
        return self._made[index]

    def __iter__(self) -> Iterator[ActionDataSample]:
        """One data sample after the other."""
        return (self[index] for index in range(len(self)))

    @property
    def labels(self) -> Tensor:
        """Tensor: Labels, (N, 1) int64 or (N, K) floating point."""
        return torch.from_numpy(self._labels)

    def column(self, key: str) -> list:
        """Meta info of that name of each sample, None where there is none."""
        return self._metainfo.get(key, [None] * len(self))


DataSamples = Union[ClipSamples, Sequence[ActionDataSample]]


def labels_of_each(data_samples: DataSamples) -> Tensor:
    """Labels of N data samples, (N, ...), on the device of the labels."""
    if isinstance(data_samples, ClipSamples):
        return data_samples.labels
    return torch.stack([sample.gt_label for sample in data_samples])


def video_ids_of(
    data_samples: DataSamples, reader: str, least: float = -np.inf
) -> np.ndarray:
    """Video of each data sample, (N,) int64.

    Args:
        data_samples (ClipSamples | Sequence[ActionDataSample]): With
            ``video_id``.
        reader (str): Who needs it, to begin the message.
        least (float): Smallest id that is one. Defaults to any.

    Raises:
        ValueError: A sample has no ``video_id`` that is such an integer.
    """
    ids = meta_of_each(data_samples, 'video_id')
    for video_id in ids:
        integer = isinstance(video_id, (int, np.integer))
        if not integer or video_id < least:
            raise ValueError(
                f"{reader} needs an integer 'video_id' in the meta info of "
                f'each data sample, but got {video_id!r}: train on a '
                "VideoClipDataset, and keep 'video_id' in the meta_keys of "
                'PackActionInputs'
            )
    return np.asarray(ids, np.int64)


def meta_of_each(data_samples: DataSamples, key: str) -> list[Any]:
    """Meta info of that name of N data samples, None where there is none."""
    if isinstance(data_samples, ClipSamples):
        return data_samples.column(key)
    # Not `metainfo`, which copies all of it, deeply.
    return [sample.get(key) for sample in data_samples]

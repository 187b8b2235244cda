"""Finds what the checks look at: the head, the datasets inside wrappers."""

import inspect
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
from mmaction.datasets import BaseActionDataset
from mmaction.models.heads import BaseHead
from torch import nn

from vll_mmaction.datasets import ClipDatasetMixin, WholeVideoDataset


def head_of(model: nn.Module) -> Optional[BaseHead]:
    """The head of a recognizer.

    Args:
        model (nn.Module): The recognizer.

    Returns:
        BaseHead | None: None if it has another kind, or none.
    """
    head = getattr(model, 'cls_head', None)
    return head if isinstance(head, BaseHead) else None


def knows_videos(head: BaseHead) -> bool:
    """Whether a head's loss is told the video of each clip.

    Args:
        head (BaseHead): The head.

    Returns:
        bool: Whether it takes ``video_ids``.
    """
    forward = head.loss_cls.forward
    return 'video_ids' in inspect.signature(forward).parameters


def dataset_parts(dataset: Any) -> Iterator[Any]:
    """The datasets inside wrappers.

    Args:
        dataset (Dataset): A dataset, or wrappers around several.

    Yields:
        Dataset: Those that are no wrappers.
    """
    # _SlicedDataset (which forwards all that it lacks), RepeatDataset,
    # ConcatDataset
    known = vars(dataset) if hasattr(dataset, '__dict__') else {}
    inner = [known[name] for name in ('_dataset', 'dataset') if name in known]
    inner += known.get('datasets', ())
    if not inner:
        yield dataset
    for part in inner:
        yield from dataset_parts(part)


def clip_datasets(dataset: Any) -> Iterator[ClipDatasetMixin]:
    """The clip datasets inside wrappers.

    Args:
        dataset (Dataset): See :func:`dataset_parts`.

    Yields:
        ClipDatasetMixin: Those whose items are clips.
    """
    for part in dataset_parts(dataset):
        if isinstance(part, ClipDatasetMixin):
            yield part


def labels_of(part: Any) -> Optional[np.ndarray]:
    """Labels of a dataset's videos.

    Args:
        part (Dataset): One of :func:`dataset_parts`.

    Returns:
        np.ndarray | None: (num_videos,) int64; None if it is another kind of
        dataset, or a video has several labels, or none.
    """
    if isinstance(part, (ClipDatasetMixin, WholeVideoDataset)):
        return part.labels
    if not isinstance(part, BaseActionDataset) or part.multi_class:
        return None
    labels = [info.get('label') for info in video_infos(part)]
    if all(isinstance(label, (int, np.integer)) for label in labels):
        return np.array(labels, dtype=np.int64)
    return None


def video_infos(part: Any) -> Iterator[dict]:
    """What a dataset knows of each video.

    Args:
        part (Dataset): One of :func:`dataset_parts`.

    Yields:
        dict: ``filename`` or ``frame_dir``, ``label`` and so on; -1 is no
        label. Nothing if it is another kind of dataset.
    """
    if isinstance(part, (ClipDatasetMixin, WholeVideoDataset)):
        part.full_init()
        clips = part._clips if isinstance(part, WholeVideoDataset) else part
        # Not get_data_info, which copies each row deeply and adds its key
        # packets: of a million videos that takes many seconds.
        table = clips.data_list
        yield from map(table.__getitem__, range(len(table)))
    elif isinstance(part, BaseActionDataset):
        yield from map(part.get_data_info, range(len(part)))

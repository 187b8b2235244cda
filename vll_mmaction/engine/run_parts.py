"""Finds what hooks look at: the head, its scores, datasets inside wrappers."""

from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

import numpy as np
from mmaction.datasets import BaseActionDataset
from mmaction.models.heads import BaseHead
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from vll_mmaction.datasets import ClipDatasetMixin, WholeVideoDataset
from vll_mmaction.models.losses.clip_loss import takes


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, without DistributedDataParallel around it."""
    return model.module if is_model_wrapper(model) else model


def head_of(model: nn.Module) -> Optional[BaseHead]:
    """The head of a recognizer; None if it has another kind, or none."""
    head = getattr(model, 'cls_head', None)
    return head if isinstance(head, BaseHead) else None


def knows_videos(head: BaseHead) -> bool:
    """Whether a head's loss is told the video of each clip."""
    return takes(head.loss_cls, 'video_ids')


def training_scores(model: nn.Module) -> Optional[Tensor]:
    """Logits of the last training batch, (M, K), without gradient.

    None before the first batch, and for other than video-level heads. The
    model may be in DistributedDataParallel.
    """
    head = getattr(unwrapped(model), 'cls_head', None)
    return getattr(head, 'training_scores', None)


def dataset_parts(dataset: Any) -> Iterator[Any]:
    """The datasets inside wrappers, or the dataset itself."""
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
    """Those of the datasets inside wrappers whose items are clips."""
    for part in dataset_parts(dataset):
        if isinstance(part, ClipDatasetMixin):
            yield part


def transforms_of(part: Any) -> Sequence[Callable]:
    """The pipeline of one of :func:`dataset_parts`; none if it has none."""
    return getattr(getattr(part, 'pipeline', None), 'transforms', ())


def labels_of(part: Any) -> Optional[np.ndarray]:
    """Labels of a dataset's videos, (num_videos,) int64.

    None if it is another kind of dataset, or a video has several labels, or
    none.
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
    """What a dataset knows of each video; nothing of another kind of dataset.

    ``filename`` or ``frame_dir``, ``label`` and so on; -1 is no label.
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

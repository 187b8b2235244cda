"""Which clips of a batch are of one video, as the losses need it."""

from collections.abc import Sequence
from typing import NamedTuple, Optional, Union

import numpy as np
import torch
from torch import Tensor


class ClipGroups(NamedTuple):
    """Which clips of a batch are of one video, from :func:`clip_groups`.

    Args:
        video (Tensor): Video of each clip, (M,) int64 in 0...V-1.
        counts (Tensor): Clips a video, (V,) int64.
        first (Tensor, optional): Pairs of clips of one video, (P,) int64.
        second (Tensor, optional): The other clip of each, (P,) int64.
    """

    video: Tensor
    counts: Tensor
    first: Optional[Tensor] = None
    second: Optional[Tensor] = None


VideoIds = Union[Tensor, Sequence, np.ndarray, ClipGroups]


def clip_groups(video_ids: VideoIds) -> ClipGroups:
    """Group clips by video, once for several losses or a compiled one.

    The losses take the result for ``video_ids``. Which clips pair with which
    depends on the values of the ids, which a compiled graph may not look at,
    so a compiled loss needs it:

    Args:
        video_ids (Tensor | sequence | ndarray): (M,) integers, equal for the
            clips of one video, in any order.

    Returns:
        ClipGroups: On the CPU.

    Raises:
        TypeError: The ids are no integers.
        ValueError: They are not of shape (M,), M at least 1.

    Example:
        >>> import torch
        >>> from vll_mmaction.models import video_level_loss
        >>> logits = torch.randn(3, 5, requires_grad=True)
        >>> label = torch.tensor([1, 1, 4])
        >>> loss = torch.compile(
        ...     video_level_loss, fullgraph=True, backend='eager'
        ... )
        >>> terms = loss(logits, label, clip_groups([7, 7, 8]))
        >>> (terms['loss_ce'] + terms['loss_ccl']).backward()
    """
    return with_pairs(number_videos(video_ids))


def number_videos(video_ids: VideoIds) -> ClipGroups:
    """:func:`clip_groups` without pairs."""
    if isinstance(video_ids, Tensor):
        ids = video_ids.detach().cpu().numpy()
    else:
        ids = np.asarray(video_ids)
    if ids.dtype.kind not in 'iu':
        raise TypeError(f'video_ids must be integers, but got {ids.dtype}')
    if ids.ndim != 1:
        raise ValueError(
            f'video_ids must have shape (M,), one id a clip, but got '
            f'{ids.shape}'
        )
    _, video, counts = np.unique(ids, return_inverse=True, return_counts=True)
    return ClipGroups(torch.from_numpy(video), torch.from_numpy(counts))


def groups_of(video_ids: Optional[VideoIds], label: Tensor) -> ClipGroups:
    """Groups of the clips of a batch, without pairs unless they came with.

    No ids take the clips as one video, whose labels, (M,) or (M, K), must be
    alike. Raises as :func:`clip_groups`.
    """
    if video_ids is None:
        if len(label) > 1 and bool((label != label[:1]).any()):
            raise ValueError(
                'the batch holds clips of several labels but came without '
                'video ids, so it was to be taken as one video. Stock heads '
                'pass no ids; their VideoLevel* twins do: in the config, use '
                "type='VideoLevelI3DHead' instead of 'I3DHead' (likewise "
                "'VideoLevelTSNHead' and so on), or one video a batch"
            )
        video_ids = np.zeros(len(label), dtype=np.int64)
    if not isinstance(video_ids, ClipGroups):
        video_ids = number_videos(video_ids)
    if len(video_ids.video) != len(label):
        raise ValueError(
            f'video_ids must have shape ({len(label)},), one id a clip, but '
            f'got ({len(video_ids.video)},)'
        )
    return video_ids


def with_pairs(groups: ClipGroups) -> ClipGroups:
    """Groups with every pair of clips of the same video, once."""
    if groups.first is not None:
        return groups
    counts = groups.counts.cpu().numpy()
    order = np.argsort(groups.video.cpu().numpy(), kind='stable')
    end = np.repeat(np.cumsum(counts), counts)
    position = np.arange(len(order))
    # With the clips sorted by video, a clip pairs with those after it.
    later = end - 1 - position
    first = np.repeat(position, later)
    start = np.repeat(np.cumsum(later) - later, later)
    second = first + 1 + np.arange(len(first)) - start
    return groups._replace(
        first=torch.from_numpy(order[first]),
        second=torch.from_numpy(order[second]),
    )


def send_to(
    tensor: Tensor,
    device: torch.device,
    dtype: Optional[torch.dtype] = None,
) -> Tensor:
    """A tensor on a device, which may not have received it yet: no waiting."""
    tensor = tensor.to(dtype=dtype or tensor.dtype)
    waits = tensor.device.type == 'cpu' and device.type == 'cuda'
    if waits and not torch.compiler.is_compiling():
        # From pageable memory even a non-blocking copy may wait.
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)

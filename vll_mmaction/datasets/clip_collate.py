"""A batch of clips as one tensor, so that receiving it costs little."""

from collections.abc import Sequence

import torch
from mmengine.registry import FUNCTIONS
from torch import Tensor

from ..structures import ClipSamples
from ..video_io.clip_array import shared_empty


@FUNCTIONS.register_module()
def clip_collate(data_batch: Sequence[dict]) -> dict:
    """Collate clips: one tensor of all pixels, and columns of the rest.

    For ``collate_fn=dict(type='clip_collate')`` of a training dataloader
    whose dataset is a clip dataset, or a Repeat or Concat wrapper of some.
    The clips of a batch lie in one storage from the start, so that nothing is
    copied here unless a video was replaced, or videos take turns. The model's
    data preprocessor must be a :class:`ClipDataPreprocessor`.

    Args:
        data_batch (Sequence[dict]): N packed samples, with ``inputs``, tensors
            of one shape and type, and ``data_samples``.

    Returns:
        dict: ``inputs``, (N, ...) of the samples' type, and ``data_samples``,
        :class:`ClipSamples`, or a list where they differ in their fields.

    Raises:
        TypeError: The samples hold something else.
        ValueError: Clips differ in shape or type.
    """
    for sample in data_batch:
        if sample.keys() != {'inputs', 'data_samples'} or not isinstance(
            sample['inputs'], Tensor
        ):
            raise TypeError(
                'clip_collate takes samples of a tensor `inputs` and '
                '`data_samples`, as PackActionInputs gives them, but got '
                f'{ {k: type(v).__name__ for k, v in sample.items()} }: leave '
                'out collate_fn'
            )
    clips = [sample['inputs'] for sample in data_batch]
    samples = [sample['data_samples'] for sample in data_batch]
    columns = ClipSamples.of(samples)
    return dict(
        inputs=_joined(clips),
        data_samples=samples if columns is None else columns,
    )


def _joined(clips: Sequence[Tensor]) -> Tensor:
    """All clips, (N, ...): where they lie if side by side, else a copy."""
    first = clips[0]
    for clip in clips:
        if clip.shape != first.shape or clip.dtype != first.dtype:
            raise ValueError(
                f'clips of a batch differ: {tuple(first.shape)} '
                f'{first.dtype} and {tuple(clip.shape)} {clip.dtype}. All '
                'must have one size; do the datasets of a ConcatDataset end '
                'in the same crop?'
            )
    shape, size = (len(clips), *first.shape), first.numel()
    start = first.data_ptr()
    step = size * first.element_size()
    end = first.untyped_storage().data_ptr() + first.untyped_storage().nbytes()
    if start + len(clips) * step <= end and all(
        clip.is_contiguous() and clip.data_ptr() == start + number * step
        for number, clip in enumerate(clips)
    ):
        return first.as_strided(shape, (size, *first.stride()))
    return torch.stack(list(clips), out=shared_empty(shape, first.dtype))

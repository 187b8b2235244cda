"""Whether data fit the model: what :class:`ConfigCheckHook` asks of them.

As in ``config_checks.py``, whose other half this is, a ValueError names the
keys of the config, their values, and what to write instead. A stage is
``'train'``, ``'val'`` or ``'test'``, as it begins the config's keys.
"""

import os.path as osp
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Callable

from mmaction.datasets import (
    BaseActionDataset,
    RawframeDataset,
    VideoDataset,
)
from mmaction.datasets import transforms as stock
from mmaction.models import ActionDataPreprocessor, Recognizer2D, Recognizer3D
from mmaction.models.heads import BaseHead
from torch import Tensor, nn

from vll_mmaction.datasets import ClipDatasetMixin, ReadVideoClips
from vll_mmaction.datasets.clip_stream import ClipStream
from vll_mmaction.datasets.samplers.clip_batch import kept_generators
from vll_mmaction.models import C3DLite, VideoLevelHeadMixin

from .run_parts import (
    clip_datasets,
    dataset_parts,
    head_of,
    knows_videos,
    labels_of,
    transforms_of,
    video_infos,
)

# Transforms after which frames have one size, and those that give frames of
# several sizes.
ONE_SIZE = stock.RandomCrop, stock.CenterCrop, stock.ThreeCrop, stock.TenCrop
SIZES = (
    stock.Resize,
    stock.RandomRescale,
    stock.RandomResizedCrop,
    stock.MultiScaleCrop,
)
# They may crop, too.
WRAPPERS = 'mmaction.datasets.transforms.wrappers'


def check_clips(dataset: Any) -> None:
    """See that clips fit into the videos and end in one size."""
    for part in clip_datasets(dataset):
        _check_clip_len(part)
        _check_size(part)


def _check_clip_len(part: ClipDatasetMixin) -> None:
    # Several clips of a video are not longer than it.
    if part.clip_counts.max() > 1:
        return
    rule = part.clip_sampling
    longest = int(part.frame_counts.max())
    if longest < rule.span:
        raise ValueError(
            f'SampleVideoClips: clip_len={rule.clip_len} with '
            f'frame_interval={rule.frame_interval} spans {rule.span} frames, '
            f'but the longest video of {part.ann_file} has {longest}: each '
            'clip would be a whole video, filled up by its own frames. '
            f'Choose them so that a clip spans at most {longest} frames.'
        )


def _check_size(part: ClipDatasetMixin) -> None:
    names = []
    for transform in _flat(transforms_of(part)):
        kind = type(transform)
        fixes = kind is stock.Resize and not transform.keep_ratio
        if kind in ONE_SIZE or fixes:
            return
        known = kind.__module__.startswith(('mmaction.', 'vll_mmaction.'))
        if not known or kind.__module__ == WRAPPERS:
            return
        if kind in SIZES:
            names.append(kind.__name__)
    raise ValueError(
        f'train_dataloader.dataset.pipeline of {part.ann_file} gives frames '
        f'of several sizes (by {", ".join(names) or "no resize, no crop"}), '
        'but the clips of a batch must have one. End it in RandomCrop, '
        'CenterCrop or Resize with keep_ratio=False.'
    )


def _flat(transforms: Iterable[Callable]) -> Iterator[Callable]:
    """Transforms, also those that a reader does while it reads."""
    for transform in transforms:
        yield transform
        if isinstance(transform, ReadVideoClips):
            yield from transform.transforms


def check_files(stage: str, dataset: Any) -> None:
    """See that the videos of stock datasets are there.

    Those of ours have been looked up when they were built.
    """
    for part in dataset_parts(dataset):
        ours = isinstance(part, ClipDatasetMixin)
        if ours or not isinstance(part, (VideoDataset, RawframeDataset)):
            continue
        if any(
            getattr(transform, 'io_backend', 'disk') != 'disk'
            for transform in transforms_of(part)
        ):
            continue
        names = [
            info['filename'] if 'filename' in info else info['frame_dir']
            for info in video_infos(part)
        ]
        there = osp.isfile if isinstance(part, VideoDataset) else osp.isdir
        lost = [k for k, name in enumerate(names) if not there(name)]
        if lost:
            raise ValueError(
                f'{len(lost)} of {len(names)} videos of {part.ann_file} are '
                f'not there, such as {names[lost[0]]!r}'
                f'{_line(part, lost[0])}. Correct '
                f'{stage}_dataloader.dataset.data_prefix, or the list.'
            )


def _line(part: Any, number: int) -> str:
    """Where a video is in the list; '' if that is not known."""
    info = next(islice(video_infos(part), number, None), {})
    line = info.get('line')
    if isinstance(part, BaseActionDataset) and part._indices is None:
        line = number + 1  # stock has a video a line
    return f' (line {line})' if line else ''


def check_labelled(stage: str, dataset: Any) -> bool:
    """See that a list has labels; in a test it may have none at all.

    Stock datasets read a line without one as the label -1. Returns whether it
    has labels.
    """
    labelled = True
    for part in dataset_parts(dataset):
        labels = labels_of(part)
        if not getattr(part, 'labelled', True):
            labelled = False
        elif labels is not None and (labels < 0).any():
            number = int((labels < 0).argmax())
            if stage != 'test' or (labels >= 0).any():
                raise ValueError(
                    f'{part.ann_file} has no label for '
                    f'{int((labels < 0).sum())} of its {len(labels)} videos, '
                    f'the first of them number {number + 1}'
                    f'{_line(part, number)}. Write one, or leave the line '
                    'out; videos without labels can be tested in a list of '
                    'their own.'
                )
            labelled = False
    return labelled


def check_sample(stage: str, model: nn.Module, dataset: Any) -> None:
    """Read a sample of the data; see that the model takes it."""
    if not hasattr(dataset, '__getitem__'):
        return
    for part in dataset_parts(dataset):
        _check_shaped(stage, model, part)
    with kept_generators():
        sample = dataset[0]
    inputs = sample.get('inputs') if isinstance(sample, dict) else None
    if isinstance(inputs, ClipStream):
        inputs = next(inputs.chunks(1))
    if not isinstance(inputs, Tensor):
        return
    head = head_of(model)
    if stage == 'train' and isinstance(head, VideoLevelHeadMixin):
        _check_video_ids(head, dataset, sample)
    _check_format(stage, model, inputs)
    backbone = getattr(model, 'backbone', None)
    if isinstance(backbone, C3DLite):
        clip, wanted = tuple(inputs.shape[-4:]), backbone.input_shape
        if clip != wanted:
            raise ValueError(
                f'model.backbone.input_size={wanted[1:]} with in_channels='
                f'{wanted[0]}, but the clips of {stage}_dataloader have '
                f'{clip[0]} channels and size {clip[1:]} (frames, height, '
                f'width). Write input_size={clip[1:]}, or change clip_len '
                'and crop in the pipeline.'
            )


def _check_video_ids(head: BaseHead, dataset: Any, sample: dict) -> None:
    if knows_videos(head) and sample['data_samples'].get('video_id') is None:
        raise ValueError(
            f"model.cls_head.loss_cls.type='{type(head.loss_cls).__name__}' "
            'needs to know the video of each clip, but '
            f"train_dataloader.dataset.type='{type(dataset).__name__}' gives "
            "no video_id. Use type='VideoClipDataset' or "
            "'RawframeClipDataset'."
        )


def _format_of(model: nn.Module) -> str:
    """What a recognizer of MMAction2 takes, '' if it is none."""
    if isinstance(model, Recognizer2D):
        return 'NCHW'
    return 'NCTHW' if isinstance(model, Recognizer3D) else ''


def _check_shaped(stage: str, model: nn.Module, part: Any) -> None:
    """FormatShape was not forgotten, without which frames are (N, H, W, C)."""
    kinds = [type(transform) for transform in transforms_of(part)]
    known = all(
        kind.__module__.startswith(('mmaction.', 'mmcv.', 'vll_mmaction.'))
        for kind in kinds
    )
    shape = _format_of(model)
    if (
        known
        and shape
        and stock.PackActionInputs in kinds
        and not any(kind.__name__.startswith('Format') for kind in kinds)
    ):
        raise ValueError(
            f'{stage}_dataloader.dataset.pipeline has no FormatShape: write '
            f"dict(type='FormatShape', input_format='{shape}') before "
            'PackActionInputs.'
        )


def _check_format(stage: str, model: nn.Module, inputs: Tensor) -> None:
    """Clips (V, C, T, H, W) for 3D networks, frames (V, C, H, W) for 2D."""
    given = {4: 'NCHW', 5: 'NCTHW'}.get(inputs.dim())
    if given is None:
        return
    wanted = _format_of(model)
    if wanted and given != wanted:
        raise ValueError(
            f"FormatShape: input_format='{given}' in the pipeline of "
            f"{stage}_dataloader, but model.type='{type(model).__name__}' "
            f"takes '{wanted}': write input_format='{wanted}'."
        )
    preprocessor = getattr(model, 'data_preprocessor', None)
    if isinstance(preprocessor, ActionDataPreprocessor):
        shape = preprocessor.format_shape
        if shape in ('NCHW', 'NCTHW') and shape != given:
            raise ValueError(
                f"model.data_preprocessor.format_shape='{shape}', but the "
                f"clips of {stage}_dataloader come as '{given}', shape "
                f"{tuple(inputs.shape)}: write format_shape='{given}'."
            )


def check_labels(model: nn.Module, dataset: Any) -> None:
    """See that the head has a class for each label, and names are enough."""
    head = head_of(model)
    # FeatureHead has no classes.
    if head is None or head.num_classes is None:
        return
    for part in dataset_parts(dataset):
        labels = labels_of(part)
        if labels is None or not len(labels):
            continue
        largest = int(labels.max())
        names = getattr(part, 'metainfo', {}).get('classes')
        if largest >= head.num_classes:
            few = f'model.cls_head.num_classes={head.num_classes}'
            advice = (
                f'Set num_classes to at least {largest + 1}, or use the '
                'annotation file of that many classes.'
            )
        elif names and largest >= len(names):
            few = f"metainfo['classes'] names {len(names)} classes"
            advice = f'Name at least {largest + 1}, or leave the names out.'
        else:
            continue
        raise ValueError(
            f'{few}, but {part.ann_file} has the label {largest}'
            f'{_line(part, int(labels.argmax()))}. {advice}'
        )

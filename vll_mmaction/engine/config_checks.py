"""Whether the parts of a config fit: what :class:`ConfigCheckHook` asks.

Each function looks at built parts and raises a ValueError whose message names
the keys of the config, their values, and what to write instead. Parts that
are not known here, such as a user's own transform, are left alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmaction.datasets.transforms import SampleFrames
from mmaction.evaluation import AccMetric
from mmaction.models import Recognizer2D
from mmaction.models.heads import BaseHead
from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook, Hook
from torch import nn
from torch.utils.data import BatchSampler, DataLoader

from vll_mmaction.datasets import (
    ClipBatchSampler,
    ClipDatasetMixin,
    ClipFeatureDataset,
    SampleVideoClips,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
    WholeVideoDataset,
    clip_collate,
)
from vll_mmaction.evaluation import ClipConsistencyMetric
from vll_mmaction.models import (
    C3DLite,
    ClipDataPreprocessor,
    VideoAttentionHeadMixin,
    VideoAttentionLoss,
    VideoLevelHeadMixin,
    VideoLevelLoss,
)
from vll_mmaction.models.recognizers.recognizer_mixin import (
    VideoLevelRecognizerMixin,
)

from .run_parts import (
    clip_datasets,
    dataset_parts,
    head_of,
    knows_videos,
    transforms_of,
)

GROUPED = (
    "sampler=dict(type='VideoGroupedSampler') and "
    "batch_sampler=dict(type='VideoGroupedBatchSampler')"
)


def check_samplers(loader: DataLoader) -> None:
    """See that whole videos that are dealt also come in one batch."""
    batches = loader.batch_sampler
    inner = getattr(batches, 'sampler', None)
    if isinstance(inner, VideoGroupedSampler) and not isinstance(
        batches, VideoGroupedBatchSampler
    ):
        raise ValueError(
            'train_dataloader has the sampler VideoGroupedSampler without '
            "batch_sampler=dict(type='VideoGroupedBatchSampler'): its "
            f'batches of {batches.batch_size} clips would cut videos apart.'
        )


def check_loss(model: nn.Module, loader: DataLoader) -> None:
    """See that a loss that compares the clips of a video gets them."""
    head = head_of(model)
    if head is None or not knows_videos(head):
        return
    name, loss = type(head).__name__, type(head.loss_cls).__name__
    batches = loader.batch_sampler
    grouped = isinstance(batches, VideoGroupedBatchSampler)
    if not isinstance(head, VideoLevelHeadMixin):
        if not isinstance(head.loss_cls, VideoLevelLoss) or (
            grouped and batches.batch_size == 1
        ):
            return
        raise ValueError(
            f"model.cls_head.type='{name}' cannot tell the videos of a batch "
            f"apart, which loss_cls=dict(type='{loss}') needs. Use "
            f"type='VideoLevel{name}', or VideoGroupedBatchSampler with "
            'batch_size=1.'
        )
    blending = getattr(model.data_preprocessor, 'blending', None)
    if blending is not None:
        raise ValueError(
            'model.data_preprocessor.blending=dict(type='
            f"'{type(blending).__name__}') mixes clips of different videos, "
            f"which model.cls_head.loss_cls.type='{loss}' compares within a "
            'video. Use blending=None.'
        )
    if type(batches) in (BatchSampler, ClipBatchSampler) and any(
        clip_datasets(loader.dataset)
    ):
        raise ValueError(
            f"model.cls_head.loss_cls.type='{loss}' compares the clips of a "
            'video, but train_dataloader.sampler.type='
            f"'{type(batches.sampler).__name__}' with {type(batches).__name__}"
            f' spreads them over the batches. Use {GROUPED}, or '
            "loss_cls=dict(type='CrossEntropyLoss') for clip-level training."
        )


def check_collate(model: nn.Module, loader: DataLoader) -> None:
    """See that the data preprocessor takes what the collate function gives."""
    collate = getattr(loader.collate_fn, 'func', loader.collate_fn)
    own = getattr(model, 'data_preprocessor', None)
    if collate is clip_collate and not isinstance(own, ClipDataPreprocessor):
        raise ValueError(
            "train_dataloader.collate_fn.type='clip_collate' gives a batch "
            'as one tensor, which model.data_preprocessor.type='
            f"'{type(own).__name__}' does not take. Use "
            "type='ClipDataPreprocessor', or leave collate_fn out."
        )


def check_model(model: nn.Module) -> None:
    """See that the parts of a recognizer fit."""
    train_cfg = getattr(model, 'train_cfg', None) or {}
    own = [
        f'{option}={train_cfg[option]}'
        for option in ('max_training_views', 'backward_share')
        if train_cfg.get(option) is not None
    ]
    if isinstance(model, VideoLevelRecognizerMixin):
        if own:
            # As the loop is about to do: norm_eval acts here.
            model.train()
            model._check_norms(several=False)
    elif own:
        name = type(model).__name__
        dimensions = '2D' if isinstance(model, Recognizer2D) else '3D'
        raise ValueError(
            f"model.type='{name}' ignores train_cfg.{own[0]}. Use "
            f"type='VideoLevelRecognizer{dimensions}', or leave "
            f'{own[0].partition("=")[0]} out.'
        )
    head, backbone = head_of(model), getattr(model, 'backbone', None)
    if head is not None:
        _check_average(model, head)
    if isinstance(backbone, C3DLite) and head and not model.with_neck:
        width = backbone.fc7.out_features
        if head.in_channels != width:
            raise ValueError(
                f'model.cls_head.in_channels={head.in_channels}, but '
                f'model.backbone.fc_channels={width}: write in_channels='
                f'{width}.'
            )


def _check_average(model: nn.Module, head: BaseHead) -> None:
    """See that the head knows how it is to average its clips."""
    name = type(head).__name__
    stock = name.replace('VideoLevel', '')
    rule = getattr(head, 'average_clips', None)
    if rule in ('vote', 'attention') and not isinstance(
        head, VideoLevelHeadMixin
    ):
        twin = 'VideoLevel' if rule == 'vote' else 'VideoAttention'
        raise ValueError(
            f"model.cls_head.average_clips='{rule}' is unknown to "
            f"type='{name}'. Use type='{twin}{stock}'."
        )
    attends = isinstance(head, VideoAttentionHeadMixin)
    if isinstance(head.loss_cls, VideoAttentionLoss) and not attends:
        raise ValueError(
            "model.cls_head.loss_cls.type='VideoAttentionLoss' needs the "
            f"scores of a gate, which type='{name}' does not have. Use "
            f"type='VideoAttention{stock}'."
        )
    fcn_test = (getattr(model, 'test_cfg', None) or {}).get('fcn_test')
    if attends and fcn_test:
        raise ValueError(
            'model.test_cfg.fcn_test=True puts a convolution in the place of '
            f"the class layer, without which model.cls_head.type='{name}' "
            'cannot attend to clips. Use fcn_test=False.'
        )


def check_evaluation(
    stage: str,
    model: nn.Module,
    loader: DataLoader,
    metrics: Sequence[BaseMetric],
) -> None:
    """See that a test, or a validation epochs later, can be evaluated."""
    head = head_of(model)
    accuracy = any(isinstance(metric, AccMetric) for metric in metrics)
    if accuracy and head and head.average_clips is None:
        raise ValueError(
            'model.cls_head.average_clips=None keeps the scores of each clip, '
            f'but AccMetric in {stage}_evaluator needs one prediction a '
            "video. Use average_clips='vote' or 'prob', or leave the metric "
            'out.'
        )
    consistency = any(isinstance(m, ClipConsistencyMetric) for m in metrics)
    if consistency and head and not isinstance(head, VideoLevelHeadMixin):
        name = type(head).__name__
        raise ValueError(
            f'{stage}_evaluator has ClipConsistencyMetric, but '
            f"model.cls_head.type='{name}' sets no clip_scores. Use "
            f"type='VideoLevel{name}', or leave the metric out."
        )
    size = getattr(loader.batch_sampler, 'batch_size', 1)
    for part in dataset_parts(loader.dataset):
        if consistency:
            _check_voters(stage, part)
        if size != 1 and _may_differ(part):
            raise ValueError(
                f'{stage}_dataloader.batch_size={size}, but videos differ in '
                'their number of clips: write batch_size=1.'
            )
        streams = getattr(part, 'stream_above', None)
        if streams and not isinstance(model, VideoLevelRecognizerMixin):
            name = type(model).__name__
            raise ValueError(
                f'{stage}_dataloader.dataset.stream_above={streams} gives '
                'clips as a stream, which model.type='
                f"'{name}' does not take. Use type='VideoLevel{name}', or "
                'stream_above=None.'
            )
        if stage == 'val' and not getattr(part, 'labelled', True):
            raise ValueError(
                'val_dataloader.dataset.labelled=False: a validation needs '
                'labels. Name a list that has them, or leave out '
                'val_dataloader, val_evaluator and val_cfg.'
            )


def _check_voters(stage: str, part: Any) -> None:
    """See that the clips of a video come together, several of them."""
    whole = isinstance(part, ClipFeatureDataset) and part.test_mode
    if isinstance(part, ClipDatasetMixin) and not whole:
        raise ValueError(
            f"{stage}_dataloader.dataset.type='{type(part).__name__}' gives "
            f'clips one by one, but ClipConsistencyMetric in {stage}_evaluator'
            ' needs all clips of a video in one sample. Use type='
            "'WholeVideoDataset' (of frames: 'WholeRawframeDataset')."
        )
    for transform in transforms_of(part):
        if isinstance(transform, SampleFrames) and transform.num_clips == 1:
            raise ValueError(
                f'{stage}_dataloader.dataset.pipeline takes one clip of a '
                'video by SampleFrames, so that the votes which '
                f'ClipConsistencyMetric in {stage}_evaluator counts are of '
                'one clip. Use SampleVideoClips, or leave the metric out.'
            )


def _may_differ(part: Any) -> bool:
    """Whether the videos of a test may differ in their number of clips."""
    if isinstance(part, ClipFeatureDataset) and part.test_mode:
        return len(np.unique(part.clip_counts)) > 1
    if isinstance(part, WholeVideoDataset):
        return len(np.unique(part.num_clips)) > 1
    # Where max_clips is more than 1, short videos have fewer.
    return not isinstance(part, ClipDatasetMixin) and any(
        isinstance(transform, SampleVideoClips)
        and transform.sampling.max_clips != 1
        for transform in transforms_of(part)
    )


def check_save_best(
    hooks: Sequence[Hook], metrics: Sequence[BaseMetric]
) -> None:
    """See that the metric exists by which the best checkpoint is chosen."""
    prefixes = [metric.prefix for metric in metrics]
    for hook in hooks:
        if not isinstance(hook, CheckpointHook):
            continue
        # Set where save_best is.
        for name in getattr(hook, 'key_indicators', None) or ():
            prefix, slash, _ = str(name).partition('/')
            if slash and prefix not in prefixes:
                raise ValueError(
                    f"default_hooks.checkpoint.save_best='{name}', but "
                    'val_evaluator has no metric with the prefix '
                    f"'{prefix}': its prefixes are {prefixes}. Add the "
                    'metric, or choose another.'
                )

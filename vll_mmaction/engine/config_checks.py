"""Whether the parts of a config fit: what :class:`ConfigCheckHook` asks.

Each function looks at built parts and raises a ValueError whose message names
the keys of the config, their values, and what to write instead. Parts that
are not known here, such as a user's own transform, are left alone.
"""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, Optional

import numpy as np
from mmaction.datasets import BaseActionDataset
from mmaction.datasets import transforms as stock
from mmaction.evaluation import AccMetric
from mmaction.models import ActionDataPreprocessor, Recognizer2D, Recognizer3D
from mmaction.models.heads import BaseHead
from mmengine.evaluator import BaseMetric
from mmengine.hooks import CheckpointHook, Hook
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader

from vll_mmaction.datasets import (
    ClipBatchSampler,
    ClipDatasetMixin,
    ReadVideoClips,
    SampleVideoClips,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)
from vll_mmaction.datasets.samplers.clip_batch import kept_generators
from vll_mmaction.evaluation import ClipConsistencyMetric
from vll_mmaction.models import (
    C3DLite,
    VideoAttentionHeadMixin,
    VideoAttentionLoss,
    VideoLevelHeadMixin,
    VideoLevelLoss,
)
from vll_mmaction.models.recognizers.video_level_recognizers import (
    VideoLevelRecognizerMixin,
)

# Transforms after which frames have one size, and those that give frames of
# several sizes.
ONE_SIZE = (
    stock.RandomCrop,
    stock.CenterCrop,
    stock.ThreeCrop,
    stock.TenCrop,
)
SIZES = (
    stock.Resize,
    stock.RandomRescale,
    stock.RandomResizedCrop,
    stock.MultiScaleCrop,
)
# They may crop, too.
WRAPPERS = 'mmaction.datasets.transforms.wrappers'
GROUPED = (
    "sampler=dict(type='VideoGroupedSampler') and "
    "batch_sampler=dict(type='VideoGroupedBatchSampler')"
)


def check_samplers(loader: DataLoader) -> None:
    """See that whole videos that are dealt also come in one batch.

    Args:
        loader (DataLoader): Of the training.
    """
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


def check_clips(dataset: Any) -> None:
    """See that clips fit into the videos and end in one size.

    Args:
        dataset (Dataset): Of the training.
    """
    for part in _clip_datasets(dataset):
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
    for transform in _flat(part.pipeline.transforms):
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


def check_loss(model: nn.Module, loader: DataLoader) -> None:
    """See that a loss that compares the clips of a video gets them.

    Args:
        model (nn.Module): The recognizer.
        loader (DataLoader): Of the training.
    """
    head = _head(model)
    if head is None or not _knows_videos(head):
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
        _clip_datasets(loader.dataset)
    ):
        raise ValueError(
            f"model.cls_head.loss_cls.type='{loss}' compares the clips of a "
            'video, but train_dataloader.sampler.type='
            f"'{type(batches.sampler).__name__}' with {type(batches).__name__}"
            f' spreads them over the batches. Use {GROUPED}, or '
            "loss_cls=dict(type='CrossEntropyLoss') for clip-level training."
        )


def check_model(model: nn.Module) -> None:
    """See that the parts of a recognizer fit.

    Args:
        model (nn.Module): The recognizer.
    """
    views = (getattr(model, 'train_cfg', None) or {}).get('max_training_views')
    if isinstance(model, VideoLevelRecognizerMixin):
        if views is not None:
            # As the loop is about to do: norm_eval acts here.
            model.train()
            model._check_norms(several=False)
    elif views is not None:
        name = type(model).__name__
        dimensions = '2D' if isinstance(model, Recognizer2D) else '3D'
        raise ValueError(
            f"model.type='{name}' ignores train_cfg.max_training_views="
            f"{views}. Use type='VideoLevelRecognizer{dimensions}', or leave "
            'max_training_views out.'
        )
    head, backbone = _head(model), getattr(model, 'backbone', None)
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


def check_sample(model: nn.Module, dataset: Any) -> None:
    """Read a sample of the data; see that the model takes it.

    Args:
        model (nn.Module): The recognizer.
        dataset (Dataset): Of the training.
    """
    if not hasattr(dataset, '__getitem__'):
        return
    with kept_generators():
        sample = dataset[0]
    inputs = sample.get('inputs') if isinstance(sample, dict) else None
    if not isinstance(inputs, Tensor):
        return
    head = _head(model)
    if isinstance(head, VideoLevelHeadMixin) and _knows_videos(head):
        if sample['data_samples'].get('video_id') is None:
            raise ValueError(
                'model.cls_head.loss_cls.type='
                f"'{type(head.loss_cls).__name__}' needs to know the video of "
                'each clip, but train_dataloader.dataset.type='
                f"'{type(dataset).__name__}' gives no video_id. Use "
                "type='VideoClipDataset' or 'RawframeClipDataset'."
            )
    _check_format(model, inputs)
    backbone = getattr(model, 'backbone', None)
    if isinstance(backbone, C3DLite):
        clip, wanted = tuple(inputs.shape[-4:]), backbone.input_shape
        if clip != wanted:
            raise ValueError(
                f'model.backbone.input_size={wanted[1:]} with in_channels='
                f'{wanted[0]}, but the clips of train_dataloader have '
                f'{clip[0]} channels and size {clip[1:]} (frames, height, '
                f'width). Write input_size={clip[1:]}, or change clip_len '
                'and crop in the pipeline.'
            )


def _check_format(model: nn.Module, inputs: Tensor) -> None:
    """Clips (V, C, T, H, W) for 3D networks, frames (V, C, H, W) for 2D."""
    given = {4: 'NCHW', 5: 'NCTHW'}.get(inputs.dim())
    wanted = None
    if isinstance(model, (Recognizer2D, Recognizer3D)):
        wanted = 'NCHW' if isinstance(model, Recognizer2D) else 'NCTHW'
        if given and given != wanted:
            raise ValueError(
                f"FormatShape: input_format='{given}' in the pipeline of "
                f"train_dataloader, but model.type='{type(model).__name__}' "
                f"takes '{wanted}': write input_format='{wanted}'."
            )
    preprocessor = getattr(model, 'data_preprocessor', None)
    if isinstance(preprocessor, ActionDataPreprocessor) and given:
        shape = preprocessor.format_shape
        if shape in ('NCHW', 'NCTHW') and shape != given:
            raise ValueError(
                f"model.data_preprocessor.format_shape='{shape}', but the "
                f"clips of train_dataloader come as '{given}', shape "
                f"{tuple(inputs.shape)}: write format_shape='{given}'."
            )


def check_labels(model: nn.Module, dataset: Any) -> None:
    """See that the head has a class for each label, and names are enough.

    Args:
        model (nn.Module): The recognizer.
        dataset (Dataset): Of the training, the validation or the test.
    """
    head = _head(model)
    if head is None:
        return
    for part in dataset_parts(dataset):
        labels = labels_of(part)
        if labels is None or not len(labels):
            continue
        largest = int(labels.max())
        if largest >= head.num_classes:
            raise ValueError(
                f'model.cls_head.num_classes={head.num_classes}, but '
                f'{part.ann_file} has the label {largest}. Set num_classes '
                f'to at least {largest + 1}, or use the annotation file of '
                'that many classes.'
            )
        names = getattr(part, 'metainfo', {}).get('classes')
        if names and largest >= len(names):
            raise ValueError(
                f"metainfo['classes'] names {len(names)} classes, but "
                f'{part.ann_file} has the label {largest}. Name at least '
                f'{largest + 1}, or leave the names out.'
            )


def labels_of(part: Any) -> Optional[np.ndarray]:
    """Labels of a dataset's videos.

    Args:
        part (Dataset): One of :func:`dataset_parts`.

    Returns:
        np.ndarray | None: (num_videos,) int64; None if it is another kind of
        dataset, or a video has several labels, or none.
    """
    if isinstance(part, ClipDatasetMixin):
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
        dict: ``filename`` or ``frame_dir``, ``label`` and so on. Nothing if
        it is another kind of dataset.
    """
    if isinstance(part, ClipDatasetMixin):
        yield from map(part._video_info, range(len(part.clip_counts)))
    elif isinstance(part, BaseActionDataset):
        yield from map(part.get_data_info, range(len(part)))


def check_evaluation(
    stage: str,
    model: nn.Module,
    loader: DataLoader,
    metrics: Sequence[BaseMetric],
) -> None:
    """See that a test, or a validation epochs later, can be evaluated.

    Args:
        stage (str): ``'val'`` or ``'test'``, as it begins the config's keys.
        model (nn.Module): The recognizer.
        loader (DataLoader): Of that stage.
        metrics (Sequence[BaseMetric]): Of that stage.
    """
    head = _head(model)
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
    for part in dataset_parts(loader.dataset):
        if consistency and isinstance(part, ClipDatasetMixin):
            raise ValueError(
                f'{stage}_dataloader.dataset.type='
                f"'{type(part).__name__}' gives clips one by one, but "
                f'ClipConsistencyMetric in {stage}_evaluator needs all clips '
                "of a video in one sample. Use type='VideoDataset' (of "
                "frames: 'RawframeDataset') with SampleVideoClips in its "
                'pipeline.'
            )
        size = getattr(loader.batch_sampler, 'batch_size', 1)
        ragged = any(
            isinstance(transform, SampleVideoClips)
            and transform.sampling.max_clips is None
            for transform in getattr(_pipeline(part), 'transforms', ())
        )
        if ragged and size != 1 and not isinstance(part, ClipDatasetMixin):
            raise ValueError(
                f'{stage}_dataloader.batch_size={size}, but videos differ in '
                'their number of clips: write batch_size=1.'
            )


def check_save_best(
    hooks: Sequence[Hook], metrics: Sequence[BaseMetric]
) -> None:
    """See that the metric exists by which the best checkpoint is chosen.

    Args:
        hooks (Sequence[Hook]): Of the runner.
        metrics (Sequence[BaseMetric]): Of the validation.
    """
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


def _head(model: nn.Module) -> Optional[BaseHead]:
    head = getattr(model, 'cls_head', None)
    return head if isinstance(head, BaseHead) else None


def _knows_videos(head: BaseHead) -> bool:
    forward = head.loss_cls.forward
    return 'video_ids' in inspect.signature(forward).parameters


def _pipeline(dataset: Any) -> Any:
    return getattr(dataset, 'pipeline', None)


def _clip_datasets(dataset: Any) -> Iterator[ClipDatasetMixin]:
    """The clip datasets inside wrappers."""
    for part in dataset_parts(dataset):
        if isinstance(part, ClipDatasetMixin):
            yield part


def dataset_parts(dataset: Any) -> Iterator[Any]:
    """The datasets inside wrappers."""
    # _SlicedDataset (which forwards all that it lacks), RepeatDataset,
    # ConcatDataset
    known = vars(dataset) if hasattr(dataset, '__dict__') else {}
    inner = [known[name] for name in ('_dataset', 'dataset') if name in known]
    inner += known.get('datasets', ())
    if not inner:
        yield dataset
    for part in inner:
        yield from dataset_parts(part)

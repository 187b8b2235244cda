"""Mistakes in a config that would show late or never, found at the start."""

from collections.abc import Iterator

from mmaction.models.heads import BaseHead
from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from vll_mmaction.datasets import (
    ClipDatasetMixin,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)
from vll_mmaction.models import VideoLevelHeadMixin, VideoLevelLoss


@HOOKS.register_module()
class ConfigCheckHook(Hook):
    """See before training that dataset, samplers, head and loss fit.

    Raises:
        ValueError: In ``before_train``, if they don't; the message names the
            keys, their values and what to change.
    """

    def before_train(self, runner) -> None:
        """Check the parts of the runner.

        Args:
            runner (Runner): The runner of the training process.
        """
        model = runner.model
        head = getattr(
            model.module if is_model_wrapper(model) else model,
            'cls_head',
            None,
        )
        loader = runner.train_dataloader
        _check_samplers(loader)
        if isinstance(head, BaseHead):
            _check_labels(head, loader.dataset)
            _check_head(head, loader)


def _check_samplers(loader) -> None:
    grouped = isinstance(loader.batch_sampler, VideoGroupedBatchSampler)
    inner = getattr(loader.batch_sampler, 'sampler', None)
    if isinstance(inner, VideoGroupedSampler) and not grouped:
        raise ValueError(
            'train_dataloader has the sampler VideoGroupedSampler without '
            "batch_sampler=dict(type='VideoGroupedBatchSampler'): its "
            f'batches of {loader.batch_sampler.batch_size} clips would cut '
            'videos apart.'
        )


def _check_labels(head: BaseHead, dataset) -> None:
    for part in _clip_datasets(dataset):
        largest = int(part.labels.max())
        if largest >= head.num_classes:
            raise ValueError(
                f'model.cls_head.num_classes={head.num_classes}, but '
                f'{part.ann_file} has the label {largest}. Set num_classes '
                f'to at least {largest + 1}, or use the annotation file of '
                'that many classes.'
            )


def _check_head(head: BaseHead, loader) -> None:
    if not isinstance(head.loss_cls, VideoLevelLoss):
        return
    if isinstance(head, VideoLevelHeadMixin):
        return
    name = type(head).__name__
    batches = loader.batch_sampler
    one_video = (
        isinstance(batches, VideoGroupedBatchSampler)
        and batches.batch_size == 1
    )
    if not one_video:
        raise ValueError(
            f"model.cls_head.type='{name}' cannot tell the videos of a batch "
            "apart, which loss_cls=dict(type='VideoLevelLoss') needs. Use "
            f"type='VideoLevel{name}', or VideoGroupedBatchSampler with "
            'batch_size=1.'
        )


def _clip_datasets(dataset) -> Iterator[ClipDatasetMixin]:
    """The clip datasets inside wrappers."""
    if isinstance(dataset, ClipDatasetMixin):
        yield dataset
        return
    # _SlicedDataset, RepeatDataset, ConcatDataset
    inner = [getattr(dataset, name, None) for name in ('_dataset', 'dataset')]
    for part in [*inner, *getattr(dataset, 'datasets', ())]:
        if part is not None:
            yield from _clip_datasets(part)

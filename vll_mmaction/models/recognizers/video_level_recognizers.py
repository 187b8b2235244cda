"""Recognizers that train on all clips of a video in bounded memory."""

import inspect
import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Optional, Union

import numpy as np
import torch
from mmaction.models import (
    ActionDataPreprocessor,
    Recognizer2D,
    Recognizer3D,
)
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.logging import print_log
from mmengine.model import merge_dict
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ..data_preprocessors.clip_data_preprocessor import (
    ClipDataPreprocessor,
    LateDataPreprocessor,
)

# Clips of a stream at a time where the config does not say.
VIEWS_AT_ONCE = 16


class VideoLevelRecognizerMixin:
    """What a stock recognizer lacks for video-level learning.

    Put before a recognizer. With ``train_cfg=dict(max_training_views=N)``
    network and head score N clips at a time under non-reentrant
    checkpointing: the backward pass runs each chunk once more, so the memory
    for activations is that of N clips, however long a video is. Each chunk is
    normalised as it comes. The gradient is that of the same chunks without
    recomputation to the last bit (random draws are repeated), and that of all
    clips at once up to rounding, unless BatchNorm in training mode mixes
    clips.

    In testing ``test_cfg=dict(max_testing_views=N)`` scores N clips at a
    time, through backbone and head; in 2D, too, it counts clips, not frames.
    A sample may be a ``ClipStream``, whose clips are read, scored and dropped.

    The arguments are the stock recognizer's.

    Raises:
        TypeError: ``max_training_views`` is no int, or it is set with
            another data preprocessor than ``ActionDataPreprocessor`` or
            ``ClipDataPreprocessor``.
        ValueError: ``max_training_views`` is below 1, or the data
            preprocessor blends clips and the loss compares them.
    """

    def __init__(
        self,
        backbone: dict,
        cls_head: Optional[dict] = None,
        neck: Optional[dict] = None,
        train_cfg: Optional[dict] = None,
        test_cfg: Optional[dict] = None,
        data_preprocessor: Optional[dict] = None,
    ) -> None:
        size = (train_cfg or {}).get('max_training_views')
        if size is not None:
            _check_views('max_training_views', size)
            data_preprocessor = _late(data_preprocessor)
        # Stock would read it too: in 2D it fails, in 3D it keeps the features
        # of all clips.
        test_cfg = None if test_cfg is None else dict(test_cfg)
        testing_size = (test_cfg or {}).pop('max_testing_views', None)
        if testing_size is not None:
            _check_views('max_testing_views', testing_size)
        super().__init__(
            backbone=backbone,
            cls_head=cls_head,
            neck=neck,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
        )
        self.max_training_views = size
        self.max_testing_views = testing_size
        self._warned_of_norms = False
        blending = getattr(self.data_preprocessor, 'blending', None)
        if blending is not None and self._loss_knows_videos():
            raise ValueError(
                f'{type(blending).__name__} mixes clips of different videos, '
                f'which {type(self.cls_head.loss_cls).__name__} compares '
                'within a video: remove `blending` from the data_preprocessor'
            )

    def _loss_knows_videos(self) -> bool:
        loss_cls = getattr(getattr(self, 'cls_head', None), 'loss_cls', None)
        return loss_cls is not None and (
            'video_ids' in inspect.signature(loss_cls.forward).parameters
        )

    def loss(
        self,
        inputs: Union[Tensor, Sequence[Tensor]],
        data_samples: Sequence[ActionDataSample],
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Losses of a batch, ``max_training_views`` clips at a time.

        Args:
            inputs (Tensor | list[Tensor]): Normalised clips, (N, V, C, T, H,
                W), or (N, V * segments, C, H, W) in 2D, with V views a data
                sample; with ``max_training_views`` also the list of the N
                samples' clips as the dataset gives them, uint8.
            data_samples (Sequence[ActionDataSample]): One a sample.

        Returns:
            dict[str, Tensor]: As the head's ``loss``, and the neck's losses,
            mean over the clips.

        Raises:
            ValueError: SyncBatchNorm is in training mode and
                ``max_training_views`` is set.
        """
        views, raw = self._views(inputs), not isinstance(inputs, Tensor)
        samples = [
            data_sample
            for data_sample in data_samples
            for _ in range(len(views) // len(data_samples))
        ]
        size = self.max_training_views or len(views)
        if self.max_training_views:
            self._check_norms(several=len(views) > size)
        scores: list = []
        losses: dict = {}
        for start in range(0, len(views), size):
            part = slice(start, start + size)
            chunk = views[part]
            run = partial(self._score_views, raw, samples[part])
            # Checkpointing saves the state of those devices alone that it
            # finds among the arguments, so the clips are arguments each.
            arguments = chunk if raw else [chunk]
            # Backward needs the last chunk first: its activations can stay.
            if start + size < len(views) and torch.is_grad_enabled():
                score, loss_aux = checkpoint(
                    run,
                    *arguments,
                    use_reentrant=False,
                    context_fn=self._recompute_contexts,
                )
            else:
                score, loss_aux = run(*arguments)
            scores.append(score)
            for name, value in loss_aux.items():
                share = value * (len(chunk) / len(views))
                losses[name] = (
                    losses[name] + share if name in losses else share
                )
        loss_cls = self.cls_head.loss_by_feat(torch.cat(scores), data_samples)
        return merge_dict(loss_cls, losses)

    def _views(
        self, inputs: Union[Tensor, Sequence[Tensor]]
    ) -> Union[Tensor, list[Tensor]]:
        """Clips one by one, with a leading axis of segments (1 in 3D)."""
        frames = self._num_frames(inputs[0].shape[0])
        if isinstance(inputs, Tensor):
            return inputs.reshape(-1, frames, *inputs.shape[2:])
        return [view for sample in inputs for view in sample.split(frames)]

    def predict(
        self,
        inputs: Tensor,
        data_samples: Sequence[ActionDataSample],
        **kwargs: Any,
    ) -> Sequence[ActionDataSample]:
        """Predictions from all views, ``max_testing_views`` at a time.

        Args:
            inputs (Tensor): Normalised clips, see :meth:`loss`.
            data_samples (Sequence[ActionDataSample]): One a sample.

        Returns:
            Sequence[ActionDataSample]: See the head's ``predict_by_feat``.
        """
        scores = self._score(inputs)
        return self.cls_head.predict_by_feat(scores, data_samples)

    def _score(self, inputs: Tensor) -> Tensor:
        """Logits (M, K) of all views of a batch in test mode."""
        frames = self._num_frames(inputs.shape[1], test_mode=True)
        views = inputs.reshape(-1, frames, *inputs.shape[2:])
        parts = views.split(self.max_testing_views or len(views))
        return torch.cat([self._test_scores(part) for part in parts])

    def _test_scores(self, views: Tensor) -> Tensor:
        features, kwargs = self.extract_feat(
            views.transpose(0, 1), test_mode=True
        )
        return self.cls_head(features, **kwargs)

    def test_step(self, data: dict) -> Sequence[ActionDataSample]:
        """Predictions of a batch, also where clips come as a stream.

        Args:
            data (dict): ``data_samples``, and ``inputs``: the clips of each
                sample, or for each a ``ClipStream``, which is read part by
                part.

        Returns:
            Sequence[ActionDataSample]: See the head's ``predict_by_feat``.
        """
        inputs, data_samples = data['inputs'], data['data_samples']
        if not hasattr(inputs[0], 'chunks'):
            return super().test_step(data)
        return list(map(self._predict_stream, inputs, data_samples))

    # Validation and test are the same here.
    val_step = test_step

    def _predict_stream(
        self, stream: Any, data_sample: ActionDataSample
    ) -> ActionDataSample:
        scores = []
        for clips in stream.chunks(self.max_testing_views or VIEWS_AT_ONCE):
            data = self.data_preprocessor(
                dict(inputs=[clips], data_samples=[data_sample])
            )
            (data_sample,) = data['data_samples']
            scores.append(self._score(data['inputs']))
        # As FormatShape has views: crop by crop, not clip by clip.
        by_clip = torch.cat(scores).unflatten(0, (stream.num_clips, -1))
        cls_scores = by_clip.transpose(0, 1).flatten(0, 1)
        return self.cls_head.predict_by_feat(cls_scores, [data_sample])[0]

    def _num_frames(self, total: int, test_mode: bool = False) -> int:
        return 1

    def _score_views(
        self,
        raw: bool,
        data_samples: Sequence[ActionDataSample],
        *views: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (n, K) of a chunk, and its auxiliary losses."""
        if raw:
            inputs, _ = self.data_preprocessor.preprocess(list(views), None)
        else:
            (inputs,) = views
        scores, kwargs = self.extract_feat(
            inputs, stage='head', data_samples=data_samples
        )
        return scores, kwargs['loss_aux']

    def _training_norms(self) -> list[nn.Module]:
        return [
            module
            for module in self.modules()
            if isinstance(module, _BatchNorm) and module.training
        ]

    def _check_norms(self, several: bool) -> None:
        norms = self._training_norms()
        if any(isinstance(norm, nn.SyncBatchNorm) for norm in norms):
            raise ValueError(
                'max_training_views does not go with SyncBatchNorm in '
                'training mode: GPUs run different numbers of chunks and '
                'would wait for each other forever. Freeze it by '
                'norm_eval=True in the backbone, or leave out '
                'max_training_views'
            )
        if several and norms and not self._warned_of_norms:
            self._warned_of_norms = True
            print_log(
                f'{len(norms)} BatchNorm layers are in training mode: each '
                f'chunk of {self.max_training_views} clips is normalised by '
                'its own statistics. norm_eval=True in the backbone is '
                'recommended with max_training_views.',
                'current',
                level=logging.WARNING,
            )

    def _recompute_contexts(
        self,
    ) -> tuple[AbstractContextManager, AbstractContextManager]:
        """Contexts of a chunk's forward pass and of its recomputation."""
        state = random.getstate(), np.random.get_state()
        return nullcontext(), self._recomputation(*state)

    @contextmanager
    def _recomputation(
        self, python_state: Any, numpy_state: Any
    ) -> Iterator[None]:
        # PyTorch repeats its own draws. TRN's head draws by numpy.
        now = random.getstate(), np.random.get_state()
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        # The statistics have seen these clips already.
        buffers = [norm._buffers for norm in self._training_norms()]
        kept = [dict(named) for named in buffers]
        for named in buffers:
            for name, value in named.items():
                named[name] = None if value is None else value.clone()
        try:
            yield
        finally:
            for named, values in zip(buffers, kept):
                named.update(values)
            random.setstate(now[0])
            np.random.set_state(now[1])


@MODELS.register_module()
class VideoLevelRecognizer3D(VideoLevelRecognizerMixin, Recognizer3D):
    """:class:`Recognizer3D` with :class:`VideoLevelRecognizerMixin`."""


@MODELS.register_module()
class VideoLevelRecognizer2D(VideoLevelRecognizerMixin, Recognizer2D):
    """:class:`Recognizer2D` with :class:`VideoLevelRecognizerMixin`.

    Segments are counted per clip: the stock recognizer takes all frames of a
    sample for the segments of one clip, so a video's clips would be averaged
    before they could vote. A clip has ``num_segments`` frames, an argument of
    the backbone (TSM, TIN, TANet) or the head (TRN). Where neither has it
    (TSN), ``test_cfg=dict(num_segs=...)`` says so for testing, and in
    training a sample is one clip, as ``VideoClipDataset`` gives it.

    The arguments are the stock recognizer's.

    Raises:
        ValueError: It is not known how many frames a clip has in testing.
    """

    def __init__(
        self,
        backbone: dict,
        cls_head: Optional[dict] = None,
        neck: Optional[dict] = None,
        train_cfg: Optional[dict] = None,
        test_cfg: Optional[dict] = None,
        data_preprocessor: Optional[dict] = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            cls_head=cls_head,
            neck=neck,
            train_cfg=train_cfg,
            test_cfg=test_cfg or {},
            data_preprocessor=data_preprocessor,
        )
        # Now rather than after the first epoch.
        if self._segments(test_mode=True) is None:
            raise ValueError(
                'neither backbone nor head has num_segments, so '
                f'{type(self).__name__} needs test_cfg=dict(num_segs=...), '
                'the number of frames of a clip: clip_len of '
                'SampleVideoClips, or 1 where optical flow is stacked'
            )

    def _segments(self, test_mode: bool) -> Optional[int]:
        segments = self.test_cfg.get('num_segs') if test_mode else None
        for part in (self.backbone, getattr(self, 'cls_head', None)):
            segments = segments or getattr(part, 'num_segments', None)
        return segments

    def _test_scores(self, views: Tensor) -> Tensor:
        return self.extract_feat(views, stage='head', test_mode=True)[0]

    def _num_frames(self, total: int, test_mode: bool = False) -> int:
        frames = self._segments(test_mode) or total
        if total % frames:
            raise ValueError(
                f'a sample of {total} frames cannot be cut into clips of '
                f'{frames} segments: clip_len of SampleVideoClips must be '
                'that number'
            )
        return frames

    def extract_feat(
        self,
        inputs: Tensor,
        stage: str = 'neck',
        data_samples: Optional[Sequence[ActionDataSample]] = None,
        test_mode: bool = False,
    ) -> tuple:
        """As stock, but for clips.

        Args:
            inputs (Tensor): Normalised frames, (N, V * segments, C, H, W),
                the views of a sample as ``FormatShape`` puts them: crop by
                crop, in each clip by clip.
            stage (str): ``'backbone'``, ``'neck'`` or ``'head'``.
            data_samples (Sequence[ActionDataSample], optional): One a clip,
                for losses of the neck. Defaults to None.
            test_mode (bool): Defaults to False.

        Returns:
            tuple: Features, or logits (N * V, K), and a dict of keywords for
            the head.

        Raises:
            ValueError: The frames don't make whole clips.
        """
        frames = self._num_frames(inputs.shape[1], test_mode)
        inputs = inputs.reshape(-1, frames, *inputs.shape[2:])
        return super().extract_feat(
            inputs, stage, data_samples=data_samples, test_mode=test_mode
        )


def _late(data_preprocessor: Optional[dict]) -> dict:
    """Config of the preprocessor that leaves training clips as they come."""
    config = dict(data_preprocessor or dict(type='ActionDataPreprocessor'))
    wanted = config['type']
    wanted = MODELS.get(wanted) if isinstance(wanted, str) else wanted
    if wanted not in (ActionDataPreprocessor, ClipDataPreprocessor):
        raise TypeError(
            'max_training_views normalises clips part by part, which it can '
            "do with type='ActionDataPreprocessor' or 'ClipDataPreprocessor' "
            'only, but got '
            f'{config["type"]!r}'
        )
    return dict(config, type=LateDataPreprocessor)


def _check_views(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} must be an int, but got {value!r}')
    if value < 1:
        raise ValueError(f'{name} must be at least 1, but got {value}')

"""Training on all clips of a video in bounded memory."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import torch
from mmaction.models import ActionDataPreprocessor
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.logging import MessageHub, print_log
from mmengine.model import merge_dict
from torch import Tensor, nn

from vll_mmaction.structures import DataSamples, video_ids_of

from ..data_preprocessors.clip_data_preprocessor import (
    ClipDataPreprocessor,
    LateDataPreprocessor,
)
from ..losses.clip_grouping import send_to
from ..losses.clip_loss import takes
from .bounded_testing import BoundedTesting, check_views
from .recomputation import recomputed, training_norms
from .selective_backward import check_share, draw_weights, weigh_gradient


class _Chunk(NamedTuple):
    """Clips ``start`` to ``stop`` (exclusive), which are computed at once.

    ``weights`` (stop - start,) are those of the gradient of each clip's
    feature, None where all weigh 1; ``backward`` is whether gradient goes
    through the backbone.
    """

    start: int
    stop: int
    weights: Optional[Tensor] = None
    backward: bool = True


class VideoLevelRecognizerMixin(BoundedTesting):
    """What a stock recognizer lacks for video-level learning.

    Put before a recognizer. With ``train_cfg=dict(max_training_views=N)``
    network and head score N clips at a time under non-reentrant
    checkpointing: the backward pass runs each chunk once more, so the memory
    for activations is that of N clips, however long a video is. Each chunk is
    normalised as it comes. The gradient is that of the same chunks without
    recomputation to the last bit (random draws are repeated), and that of all
    clips at once up to rounding, unless BatchNorm in training mode mixes
    clips.

    With ``train_cfg=dict(backward_share=r)`` all clips go forward, once, and
    head and loss see all, but the gradient goes back through the backbone for
    a random share of each video's clips only, at least one, each weighted by
    m / k for k of m clips (after Cheng et al., CVPR 2022). Its expectation is
    the full gradient, its memory and time are less. The draw is a function of
    (seed, iteration, video). With ``max_training_views`` too, only those
    clips are recomputed.

    Testing is that of :class:`BoundedTesting`. The arguments are the stock
    recognizer's.

    Raises:
        TypeError: ``max_training_views`` is no int or ``backward_share`` no
            number, or one is set with another data preprocessor than
            ``ActionDataPreprocessor`` or ``ClipDataPreprocessor``.
        ValueError: ``max_training_views`` is below 1, ``backward_share`` is
            out of (0, 1] or set with a neck, or the data preprocessor blends
            clips although the loss compares them or one of both is set.
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
        share = (train_cfg or {}).get('backward_share')
        if size is not None:
            check_views('max_training_views', size)
        if share is not None:
            check_share(share)
            if neck is not None:
                raise ValueError(
                    'backward_share does not go with a neck, whose losses '
                    'would see some clips only: leave out one of both'
                )
        in_parts = size is not None or share is not None
        if in_parts:
            data_preprocessor = _late(data_preprocessor)
        super().__init__(
            backbone=backbone,
            cls_head=cls_head,
            neck=neck,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
        )
        self.max_training_views = size
        self.backward_share = share
        self._warned_of_norms = False
        blending = getattr(self.data_preprocessor, 'blending', None)
        if blending is not None and in_parts:
            raise ValueError(
                f'{type(blending).__name__} mixes clips of a batch, which '
                'max_training_views and backward_share normalise part by '
                'part: remove `blending` from the data_preprocessor'
            )
        loss_cls = getattr(getattr(self, 'cls_head', None), 'loss_cls', None)
        knows_videos = loss_cls is not None and takes(loss_cls, 'video_ids')
        if blending is not None and knows_videos:
            raise ValueError(
                f'{type(blending).__name__} mixes clips of different videos, '
                f'which {type(loss_cls).__name__} compares '
                'within a video: remove `blending` from the data_preprocessor'
            )

    def loss(
        self,
        inputs: Union[Tensor, Sequence[Tensor]],
        data_samples: DataSamples,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Losses of a batch, ``max_training_views`` clips at a time.

        Args:
            inputs (Tensor | list[Tensor]): Normalised clips, (N, V, C, T, H,
                W), or (N, V * segments, C, H, W) in 2D, with V views a data
                sample; with ``max_training_views`` or ``backward_share`` also
                the list of the N samples' clips as the dataset gives them,
                uint8.
            data_samples (ClipSamples | Sequence[ActionDataSample]): One a
                sample.

        Returns:
            dict[str, Tensor]: As the head's ``loss``, and the neck's losses,
            mean over the clips.

        Raises:
            ValueError: BatchNorm is in training mode, synchronised with
                ``max_training_views`` or of any kind with
                ``backward_share``.
        """
        views, raw = self._views(inputs), not isinstance(inputs, Tensor)
        views_a_sample = len(views) // len(data_samples)
        samples = None
        if self.with_neck:
            samples = [x for x in data_samples for _ in range(views_a_sample)]
        order, weights = self._draw(data_samples, views_a_sample)
        if order is not None:
            views = [views[clip] for clip in order] if raw else views[order]
        chunks = self._chunks(len(views), weights)
        self._check_norms(several=len(chunks) > 1)
        scores: list = []
        losses: dict = {}
        for chunk in chunks:
            part = slice(chunk.start, chunk.stop)
            of_part = samples and samples[part]
            run = partial(self._score_views, raw, of_part, chunk)
            # Checkpointing saves the state of those devices alone that it
            # finds among the arguments, so the clips are arguments each.
            arguments = views[part] if raw else [views[part]]
            # Backward needs the last chunk first: its activations can stay.
            if (
                chunk.backward
                and chunk.stop < len(views)
                and torch.is_grad_enabled()
            ):
                score, loss_aux = recomputed(self, run, *arguments)
            else:
                score, loss_aux = run(*arguments)
            scores.append(score)
            for name, value in loss_aux.items():
                share = value * ((chunk.stop - chunk.start) / len(views))
                losses[name] = share + losses.get(name, 0)
        logits = torch.cat(scores)
        if order is not None:
            place = send_to(torch.from_numpy(order.argsort()), logits.device)
            logits = logits.index_select(0, place)
        loss_cls = self.cls_head.loss_by_feat(logits, data_samples)
        return merge_dict(loss_cls, losses)

    def _views(
        self, inputs: Union[Tensor, Sequence[Tensor]]
    ) -> Union[Tensor, list[Tensor]]:
        """Clips one by one, with a leading axis of segments (1 in 3D)."""
        frames = self._num_frames(inputs[0].shape[0])
        if isinstance(inputs, Tensor):
            return inputs.reshape(-1, frames, *inputs.shape[2:])
        return [view for sample in inputs for view in sample.split(frames)]

    def _num_frames(self, total: int, test_mode: bool = False) -> int:
        return 1

    def _draw(
        self, data_samples: DataSamples, views_a_sample: int
    ) -> tuple[Optional[np.ndarray], Optional[np.ndarray]]:
        """Order of the clips, those without gradient first, and weights."""
        if self.backward_share is None:
            return None, None
        hub = MessageHub.get_current_instance()
        key = [hub.get_info('seed'), hub.get_info('iter')]
        if None in key:  # no runner
            key = torch.randint(2**31, (2,)).tolist()
        reader = "backward_share draws from each video's clips and"
        videos = video_ids_of(data_samples, reader, least=0)
        videos = videos.repeat(views_a_sample)
        weights = draw_weights(videos, self.backward_share, key)
        order = np.argsort(weights > 0, kind='stable')
        return order, weights[order]

    def _chunks(
        self, total: int, weights: Optional[np.ndarray]
    ) -> list[_Chunk]:
        """What is computed at once; without gradient first, to free it."""
        size = self.max_training_views or total
        first = 0 if weights is None else int((weights == 0).sum())
        of_all = None if weights is None else torch.from_numpy(weights)
        chunks = []
        for begin, end in ((0, first), (first, total)):
            for start in range(begin, end, size):
                stop = min(start + size, end)
                weight = None if of_all is None else of_all[start:stop]
                chunks.append(_Chunk(start, stop, weight, begin == first))
        return chunks

    def _score_views(
        self,
        raw: bool,
        data_samples: Optional[Sequence[ActionDataSample]],
        chunk: _Chunk,
        *views: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits (n, K) of a chunk, and its auxiliary losses."""
        if raw:
            inputs, _ = self.data_preprocessor.preprocess(list(views), None)
        else:
            (inputs,) = views
        if chunk.weights is None:
            scores, kwargs = self.extract_feat(
                inputs, stage='head', data_samples=data_samples
            )
            return scores, kwargs['loss_aux']
        backward = chunk.backward and torch.is_grad_enabled()
        with torch.set_grad_enabled(backward):
            features, kwargs = self.extract_feat(inputs, stage='backbone')
        if not backward:
            # Older PyTorch keeps the weights that autocast cast, without
            # gradient, for the next chunk.
            torch.clear_autocast_cache()
        if chunk.backward:
            weigh_gradient(features, chunk.weights)
        return self.cls_head(features, **kwargs), {}

    def _check_norms(self, several: bool) -> None:
        norms = training_norms(self)
        if norms and self.backward_share is not None:
            raise ValueError(
                f'backward_share does not go with the {len(norms)} BatchNorm '
                'layers in training mode, by which clips without gradient '
                'change the others: freeze them by norm_eval=True in the '
                'backbone, or leave out backward_share'
            )
        if self.max_training_views is None:
            return
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


def _late(data_preprocessor: Optional[dict]) -> dict:
    """Config of the preprocessor that leaves training clips as they come."""
    config = dict(data_preprocessor or dict(type='ActionDataPreprocessor'))
    wanted = config['type']
    wanted = MODELS.get(wanted) if isinstance(wanted, str) else wanted
    if wanted not in (ActionDataPreprocessor, ClipDataPreprocessor):
        raise TypeError(
            'max_training_views and backward_share normalise clips part by '
            "part, which they can do with type='ActionDataPreprocessor' or "
            f"'ClipDataPreprocessor' only, but got {config['type']!r}"
        )
    return dict(config, type=LateDataPreprocessor)

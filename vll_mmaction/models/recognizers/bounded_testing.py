"""Testing on all clips of a video in bounded memory."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from mmaction.structures import ActionDataSample
from torch import Tensor

from ..heads.video_level_heads import group_by_clip
from ..losses.clip_grouping import send_to

# Views of a stream at a time where the config does not say.
VIEWS_AT_ONCE = 16


class BoundedTesting:
    """Scores the views of a video some at a time, and reads them so.

    With ``test_cfg=dict(max_testing_views=N)`` N views go through backbone and
    head at a time, clip by clip; a view is a clip, or one crop of it, in 2D,
    too, where stock counts frames. A sample may be a ``ClipStream``, whose
    clips are read, scored and dropped, in the same parts: its scores are
    those of the whole video to the last bit.

    Args:
        test_cfg (dict, optional): See above. Without it all views of a batch
            are scored at once, 16 at a time of a ``ClipStream``.
        kwargs: Arguments of the stock recognizer.

    Raises:
        TypeError: ``max_testing_views`` is no int.
        ValueError: It is below 1.
    """

    def __init__(self, *args: Any, test_cfg: Any = None, **kwargs: Any):
        # Stock would read it too: in 2D it fails, in 3D it keeps the features
        # of all clips.
        test_cfg = None if test_cfg is None else dict(test_cfg)
        size = (test_cfg or {}).pop('max_testing_views', None)
        if size is not None:
            check_views('max_testing_views', size)
        super().__init__(*args, test_cfg=test_cfg, **kwargs)
        self.max_testing_views = size

    def predict(
        self,
        inputs: Tensor,
        data_samples: Sequence[ActionDataSample],
        **kwargs: Any,
    ) -> Sequence[ActionDataSample]:
        """Predictions from all views, ``max_testing_views`` at a time.

        Args:
            inputs (Tensor): Normalised clips, (N, V, C, T, H, W), or (N, V *
                segments, C, H, W) in 2D.
            data_samples (Sequence[ActionDataSample]): One a sample.

        Returns:
            Sequence[ActionDataSample]: See the head's ``predict_by_feat``.
        """
        frames = self._num_frames(inputs.shape[1], test_mode=True)
        views = inputs.reshape(-1, frames, *inputs.shape[2:])
        if self.max_testing_views is None:
            scores = self._test_scores(views)
        else:
            order = _clip_by_clip(len(views), data_samples)
            place = send_to(order, views.device)
            parts = [
                self._test_scores(views.index_select(0, part).contiguous())
                for part in place.split(self.max_testing_views)
            ]
            scores = _put_back(parts, order)
        return self.cls_head.predict_by_feat(scores, data_samples)

    def _test_scores(self, views: Tensor) -> Tensor:
        """Logits (n, K) of views (n, frames, ...) in test mode."""
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
        streams, data_samples = data['inputs'], data['data_samples']
        if not hasattr(streams[0], 'chunks'):
            return super().test_step(data)
        views = (
            view
            for stream in streams
            for clip in stream.chunks(1)
            for view in clip.split(self._num_frames(len(clip), test_mode=True))
        )
        scores = []
        at_once = self.max_testing_views or VIEWS_AT_ONCE
        while part := list(islice(views, at_once)):
            batch = self.data_preprocessor(
                dict(inputs=[torch.cat(part)], data_samples=data_samples)
            )
            data_samples = batch['data_samples']
            inputs = batch['inputs'][0].unflatten(0, (len(part), -1))
            # Other strides would be summed in another order.
            scores.append(self._test_scores(inputs.contiguous()))
        order = _clip_by_clip(sum(map(len, scores)), data_samples)
        scores = _put_back(scores, order)
        return self.cls_head.predict_by_feat(scores, data_samples)

    # Validation and test are the same here.
    val_step = test_step


def _clip_by_clip(
    num_views: int, data_samples: Sequence[ActionDataSample]
) -> Tensor:
    """Places of all views, the crops of a clip side by side, (M,) int64.

    All samples have equally many; those that know ``num_clips`` may have
    several crops.
    """
    places = torch.arange(num_views).view(len(data_samples), -1)
    num_clips = data_samples[0].get('num_clips') or places.shape[1]
    return torch.cat([group_by_clip(x, num_clips) for x in places])


def _put_back(parts: Sequence[Tensor], order: Tensor) -> Tensor:
    """Scores (M, K) of views that were taken in an order, as they stood."""
    scores = torch.cat(list(parts))
    return scores.index_select(0, send_to(order.argsort(), scores.device))


def check_views(name: str, value: int) -> None:
    """Refuse an option's number of clips that is no int, or below 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} must be an int, but got {value!r}')
    if value < 1:
        raise ValueError(f'{name} must be at least 1, but got {value}')

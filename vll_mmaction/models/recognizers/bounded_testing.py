"""Testing on all clips of a video in bounded memory."""

from collections.abc import Sequence
from typing import Any

import torch
from mmaction.structures import ActionDataSample
from torch import Tensor

# Clips of a stream at a time where the config does not say.
VIEWS_AT_ONCE = 16


class BoundedTesting:
    """Scores the views of a video some at a time, and reads them so.

    With ``test_cfg=dict(max_testing_views=N)`` N clips go through backbone and
    head at a time; in 2D, too, it counts clips, not frames. A sample may be a
    ``ClipStream``, whose clips are read, scored and dropped.

    Args:
        test_cfg (dict, optional): See above.
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


def check_views(name: str, value: int) -> None:
    """See that a number of clips is one, at least 1.

    Args:
        name (str): The option, for messages.
        value (int): Its value.

    Raises:
        TypeError: It is no int.
        ValueError: It is below 1.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{name} must be an int, but got {value!r}')
    if value < 1:
        raise ValueError(f'{name} must be at least 1, but got {value}')

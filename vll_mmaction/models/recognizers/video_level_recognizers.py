"""Stock recognizers for video-level learning."""

from collections.abc import Sequence
from typing import Any, Optional

from mmaction.models import Recognizer2D, Recognizer3D
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch import Tensor

from .recognizer_mixin import VideoLevelRecognizerMixin


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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Now rather than after the first epoch.
        if self._segments(test_mode=True) is None:
            raise ValueError(
                'neither backbone nor head has num_segments, so '
                f'{type(self).__name__} needs test_cfg=dict(num_segs=...), '
                'the number of frames of a clip: clip_len of '
                'SampleVideoClips, or 1 where optical flow is stacked'
            )

    def _segments(self, test_mode: bool) -> Optional[int]:
        test_cfg = (self.test_cfg if test_mode else None) or {}
        segments = test_cfg.get('num_segs')
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

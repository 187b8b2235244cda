"""Models: C3D-lite, the video-level loss, heads and recognizers."""

from .c3d_lite import C3DLite
from .clip_data_preprocessor import ClipDataPreprocessor
from .clip_grouping import clip_groups
from .losses import (
    ConsistentConstraintLoss,
    MeanPredictionLoss,
    VideoLevelLoss,
    consistent_constraint_loss,
    mean_prediction_loss,
    video_level_loss,
)
from .video_level_heads import *  # noqa: F401,F403
from .video_level_heads import VideoLevelHeadMixin
from .video_level_recognizers import (
    VideoLevelRecognizer2D,
    VideoLevelRecognizer3D,
)

__all__ = [
    'C3DLite',
    'ClipDataPreprocessor',
    'ConsistentConstraintLoss',
    'MeanPredictionLoss',
    'VideoLevelHeadMixin',
    'VideoLevelLoss',
    'VideoLevelRecognizer2D',
    'VideoLevelRecognizer3D',
    'clip_groups',
    'consistent_constraint_loss',
    'mean_prediction_loss',
    'video_level_loss',
]

"""Models: C3D-lite, the video-level losses, heads and recognizers."""

from .backbones import C3DLite, EfficientNetLite0, FeatureBackbone
from .data_preprocessors import ClipDataPreprocessor
from .heads import *  # noqa: F401,F403
from .heads import VOTE_RULES, VideoLevelHeadMixin, majority_vote
from .losses import (
    ConsistentConstraintLoss,
    MeanPredictionLoss,
    VideoLevelLoss,
    clip_groups,
    consistent_constraint_loss,
    mean_prediction_loss,
    video_level_loss,
)
from .recognizers import VideoLevelRecognizer2D, VideoLevelRecognizer3D

__all__ = [
    'C3DLite',
    'ClipDataPreprocessor',
    'ConsistentConstraintLoss',
    'EfficientNetLite0',
    'FeatureBackbone',
    'MeanPredictionLoss',
    'VOTE_RULES',
    'VideoLevelHeadMixin',
    'VideoLevelLoss',
    'VideoLevelRecognizer2D',
    'VideoLevelRecognizer3D',
    'clip_groups',
    'consistent_constraint_loss',
    'majority_vote',
    'mean_prediction_loss',
    'video_level_loss',
]

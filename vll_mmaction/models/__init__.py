"""Models: C3D-lite, the video-level losses, heads and recognizers."""

from .backbones import C3DLite, EfficientNetLite0, FeatureBackbone
from .data_preprocessors import ClipDataPreprocessor, FeatureDataPreprocessor
from .heads import *  # noqa: F401,F403
from .heads import (
    VOTE_RULES,
    ClassLayerInput,
    VideoAttentionHeadMixin,
    VideoLevelHeadMixin,
    class_layer,
    majority_vote,
)
from .losses import (
    ConsistentConstraintLoss,
    VideoAttentionLoss,
    VideoLevelLoss,
    VideoPredictionLoss,
    clip_groups,
    consistent_constraint_loss,
    video_attention_loss,
    video_level_loss,
    video_prediction_loss,
)
from .recognizers import VideoLevelRecognizer2D, VideoLevelRecognizer3D

__all__ = [
    'C3DLite',
    'ClassLayerInput',
    'ClipDataPreprocessor',
    'ConsistentConstraintLoss',
    'EfficientNetLite0',
    'FeatureBackbone',
    'FeatureDataPreprocessor',
    'VOTE_RULES',
    'VideoAttentionHeadMixin',
    'VideoAttentionLoss',
    'VideoLevelHeadMixin',
    'VideoLevelLoss',
    'VideoLevelRecognizer2D',
    'VideoLevelRecognizer3D',
    'VideoPredictionLoss',
    'class_layer',
    'clip_groups',
    'consistent_constraint_loss',
    'majority_vote',
    'video_attention_loss',
    'video_level_loss',
    'video_prediction_loss',
]

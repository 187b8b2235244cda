"""Losses over the clips of videos: Eq. 3, and the terms that it may hold."""

from .clip_grouping import clip_groups
from .consistency import ConsistentConstraintLoss, consistent_constraint_loss
from .video_attention import VideoAttentionLoss, video_attention_loss
from .video_level_loss import VideoLevelLoss, video_level_loss
from .video_prediction import VideoPredictionLoss, video_prediction_loss

__all__ = [
    'ConsistentConstraintLoss',
    'VideoAttentionLoss',
    'VideoLevelLoss',
    'VideoPredictionLoss',
    'clip_groups',
    'consistent_constraint_loss',
    'video_attention_loss',
    'video_level_loss',
    'video_prediction_loss',
]

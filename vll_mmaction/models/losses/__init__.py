"""Losses over the clips of videos: Eq. 3, and the terms that it may hold."""

from .clip_grouping import clip_groups
from .consistency import ConsistentConstraintLoss, consistent_constraint_loss
from .mean_prediction import MeanPredictionLoss, mean_prediction_loss
from .video_level_loss import VideoLevelLoss, video_level_loss

__all__ = [
    'ConsistentConstraintLoss',
    'MeanPredictionLoss',
    'VideoLevelLoss',
    'clip_groups',
    'consistent_constraint_loss',
    'mean_prediction_loss',
    'video_level_loss',
]

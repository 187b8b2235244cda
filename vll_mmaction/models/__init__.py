"""Models: the C3D-lite backbone, the video-level loss and heads."""

from .c3d_lite import C3DLite
from .losses import (
    ConsistentConstraintLoss,
    VideoLevelLoss,
    consistent_constraint_loss,
    video_level_loss,
)
from .video_level_heads import *  # noqa: F401,F403
from .video_level_heads import VideoLevelHeadMixin

__all__ = [
    'C3DLite',
    'ConsistentConstraintLoss',
    'VideoLevelHeadMixin',
    'VideoLevelLoss',
    'consistent_constraint_loss',
    'video_level_loss',
]

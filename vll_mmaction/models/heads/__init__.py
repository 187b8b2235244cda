"""Heads that tell the loss which clips are of one video, vote and attend."""

from . import video_attention_heads, video_level_heads
from .class_layer import ClassLayerInput, class_layer
from .video_attention_heads import *  # noqa: F401,F403
from .video_level_heads import *  # noqa: F401,F403
from .voting import VOTE_RULES, majority_vote

__all__ = [
    *video_attention_heads.__all__,
    *video_level_heads.__all__,
    'ClassLayerInput',
    'VOTE_RULES',
    'class_layer',
    'majority_vote',
]

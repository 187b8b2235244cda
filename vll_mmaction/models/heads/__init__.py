"""Heads that tell the loss which clips are of one video, and vote."""

from . import video_level_heads
from .video_level_heads import *  # noqa: F401,F403
from .voting import VOTE_RULES, majority_vote

__all__ = [*video_level_heads.__all__, 'VOTE_RULES', 'majority_vote']

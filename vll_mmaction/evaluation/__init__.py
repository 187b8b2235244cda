"""Metrics of the clips of a video."""

from .clip_metrics import ClipConsistencyMetric, consistency_figures
from .clip_results import ClipResults, load_clip_results, save_clip_results
from .prediction_rules import (
    attention_scores,
    video_predictions,
    vote_scores,
)

__all__ = [
    'ClipConsistencyMetric',
    'ClipResults',
    'attention_scores',
    'consistency_figures',
    'load_clip_results',
    'save_clip_results',
    'video_predictions',
    'vote_scores',
]

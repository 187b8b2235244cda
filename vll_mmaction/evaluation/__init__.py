"""Metrics of the clips of a video."""

from .clip_metrics import (
    ClipConsistencyMetric,
    ClipResults,
    attention_scores,
    consistency_figures,
    load_clip_results,
    vote_scores,
)

__all__ = [
    'ClipConsistencyMetric',
    'ClipResults',
    'attention_scores',
    'consistency_figures',
    'load_clip_results',
    'vote_scores',
]

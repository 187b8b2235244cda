"""Pictures of how the clips of a video vote, and a page about all videos."""

from .result_files import load_models
from .vote_plots import draw_top_classes, draw_votes, find_video
from .vote_report import write_report

__all__ = [
    'draw_top_classes',
    'draw_votes',
    'find_video',
    'load_models',
    'write_report',
]

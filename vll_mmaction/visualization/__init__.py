"""Pictures of how the clips of a video vote."""

from .vote_plots import class_votes, draw_top_classes, draw_votes, find_video

__all__ = ['class_votes', 'draw_top_classes', 'draw_votes', 'find_video']

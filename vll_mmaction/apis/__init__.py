"""A trained recognizer on any video."""

from .video_inference import init_video_recognizer, score_video

__all__ = ['init_video_recognizer', 'score_video']

"""Recognizers whose memory does not grow with the clips of a batch."""

from .video_level_recognizers import (
    VideoLevelRecognizer2D,
    VideoLevelRecognizer3D,
)

__all__ = ['VideoLevelRecognizer2D', 'VideoLevelRecognizer3D']

"""Transforms that cut a video into clips, and read them."""

from .clip_sampling import ClipSampling, SampleVideoClips
from .video_reader import ReadVideoClips, VideoReaderInit

__all__ = [
    'ClipSampling',
    'ReadVideoClips',
    'SampleVideoClips',
    'VideoReaderInit',
]

"""Which clips make a batch: whole videos, dealt among the ranks."""

from .clip_batch import ClipBatch
from .video_sampler import (
    ClipBatchSampler,
    KeyedBatchSampler,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)

__all__ = [
    'ClipBatch',
    'ClipBatchSampler',
    'KeyedBatchSampler',
    'VideoGroupedBatchSampler',
    'VideoGroupedSampler',
]

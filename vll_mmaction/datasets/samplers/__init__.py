"""Which clips make a batch: whole videos, dealt among the ranks."""

from .batch_samplers import (
    ClipBatchSampler,
    KeyedBatchSampler,
    VideoGroupedBatchSampler,
)
from .clip_batch import ClipBatch
from .video_sampler import VideoGroupedSampler

__all__ = [
    'ClipBatch',
    'ClipBatchSampler',
    'KeyedBatchSampler',
    'VideoGroupedBatchSampler',
    'VideoGroupedSampler',
]

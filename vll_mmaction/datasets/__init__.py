"""Videos as sets of clips: clip dataset, samplers, frame index."""

from .clip_batch import ClipBatch
from .clip_dataset import VideoClipDataset
from .clip_sampling import ClipSampling, SampleVideoClips
from .dataset_wrappers import ConcatDataset, RepeatDataset
from .frame_index import FrameIndex
from .video_sampler import (
    ClipBatchSampler,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)

__all__ = [
    'ClipBatch',
    'ClipBatchSampler',
    'ClipSampling',
    'ConcatDataset',
    'FrameIndex',
    'RepeatDataset',
    'SampleVideoClips',
    'VideoClipDataset',
    'VideoGroupedBatchSampler',
    'VideoGroupedSampler',
]

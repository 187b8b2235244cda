"""Videos as sets of clips: clip dataset, samplers, frame index."""

from .clip_batch import ClipBatch
from .clip_dataset import VideoClipDataset
from .clip_dataset_mixin import ClipDatasetMixin
from .clip_sampling import ClipSampling, SampleVideoClips
from .dataset_wrappers import ConcatDataset, RepeatDataset
from .frame_index import FrameIndex
from .rawframe_clip_dataset import RawframeClipDataset
from .video_reader import ReadVideoClips, VideoReaderInit
from .video_sampler import (
    ClipBatchSampler,
    KeyedBatchSampler,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)

__all__ = [
    'ClipBatch',
    'ClipBatchSampler',
    'ClipDatasetMixin',
    'ClipSampling',
    'ConcatDataset',
    'FrameIndex',
    'KeyedBatchSampler',
    'RawframeClipDataset',
    'ReadVideoClips',
    'RepeatDataset',
    'SampleVideoClips',
    'VideoClipDataset',
    'VideoGroupedBatchSampler',
    'VideoGroupedSampler',
    'VideoReaderInit',
]

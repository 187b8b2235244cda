"""Videos as sets of clips: datasets, samplers, transforms."""

from ..video_io.frame_index import FrameIndex
from .clip_dataset import VideoClipDataset
from .clip_dataset_mixin import ClipDatasetMixin
from .dataset_wrappers import ConcatDataset, RepeatDataset
from .rawframe_clip_dataset import RawframeClipDataset
from .samplers import (
    ClipBatch,
    ClipBatchSampler,
    KeyedBatchSampler,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)
from .transforms import (
    ClipSampling,
    ReadVideoClips,
    SampleVideoClips,
    VideoReaderInit,
)
from .whole_video_dataset import WholeRawframeDataset, WholeVideoDataset

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
    'WholeRawframeDataset',
    'WholeVideoDataset',
]

"""Videos as sets of clips: datasets, samplers, transforms."""

from ..video_io.frame_index import FrameIndex
from .clip_collate import clip_collate
from .clip_dataset import VideoClipDataset
from .clip_dataset_mixin import ClipDatasetMixin
from .clip_feature_dataset import ClipFeatureDataset
from .dataset_wrappers import ConcatDataset, RepeatDataset
from .feature_store import FeatureStore
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
    'ClipFeatureDataset',
    'ClipSampling',
    'ConcatDataset',
    'FeatureStore',
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
    'clip_collate',
]

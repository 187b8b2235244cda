"""From clips in uint8 to what a backbone takes."""

from .clip_data_preprocessor import ClipDataPreprocessor
from .feature_data_preprocessor import FeatureDataPreprocessor

__all__ = ['ClipDataPreprocessor', 'FeatureDataPreprocessor']

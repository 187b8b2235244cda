"""From clips in uint8 to what a backbone takes."""

from .clip_data_preprocessor import ClipDataPreprocessor

__all__ = ['ClipDataPreprocessor']

"""Loops: what testing may do beside scoring."""

from .clip_feature_loop import ClipFeatureLoop

__all__ = ['ClipFeatureLoop']

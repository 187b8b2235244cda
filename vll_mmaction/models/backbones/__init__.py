"""Backbones: the paper's network, and one for frozen features."""

from .c3d_lite import C3DLite
from .feature_backbone import FeatureBackbone

__all__ = ['C3DLite', 'FeatureBackbone']

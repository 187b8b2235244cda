"""Backbones: the paper's network, and one for frozen features."""

from .c3d_lite import C3DLite
from .efficientnet_lite import EfficientNetLite0
from .feature_backbone import FeatureBackbone

__all__ = ['C3DLite', 'EfficientNetLite0', 'FeatureBackbone']

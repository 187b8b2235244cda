"""Backbones: the paper's network."""

from .c3d_lite import C3DLite

__all__ = ['C3DLite']

"""What runs beside the training loop."""

from .hooks import AtomicCheckpointHook, IterSeedHook

__all__ = ['AtomicCheckpointHook', 'IterSeedHook']

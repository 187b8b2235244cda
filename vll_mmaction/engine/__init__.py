"""What runs beside the training loop, and what says that a config is wrong."""

from . import config_errors, loops
from .hooks import AtomicCheckpointHook, IterSeedHook

__all__ = ['AtomicCheckpointHook', 'IterSeedHook', 'config_errors', 'loops']

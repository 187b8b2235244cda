"""Hooks for runs that can be stopped at any time and resumed exactly."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .iter_seed_hook import IterSeedHook

__all__ = ['AtomicCheckpointHook', 'IterSeedHook']

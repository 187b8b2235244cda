"""Hooks: configs that fit, runs that can be stopped and resumed exactly."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .config_check_hook import ConfigCheckHook
from .exact_resume_hook import ExactResumeHook
from .iter_seed_hook import IterSeedHook

__all__ = [
    'AtomicCheckpointHook',
    'ConfigCheckHook',
    'ExactResumeHook',
    'IterSeedHook',
]

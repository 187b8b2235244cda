"""Hooks: fitting configs, exact resumption, training that can be watched."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .checkpoint_fit_hook import CheckpointFitHook
from .collapse_warning_hook import CollapseWarningHook
from .config_check_hook import ConfigCheckHook
from .exact_resume_hook import ExactResumeHook
from .finite_scores_hook import FiniteScoresHook
from .iter_seed_hook import IterSeedHook
from .training_speed_hook import TrainingSpeedHook

__all__ = [
    'AtomicCheckpointHook',
    'CheckpointFitHook',
    'CollapseWarningHook',
    'ConfigCheckHook',
    'ExactResumeHook',
    'FiniteScoresHook',
    'IterSeedHook',
    'TrainingSpeedHook',
]

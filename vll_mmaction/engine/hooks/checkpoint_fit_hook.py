"""Refuses checkpoints of another network, which MMEngine loads in part."""

import re
from collections.abc import Mapping
from typing import Optional

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner, find_latest_checkpoint

from vll_mmaction.engine.loops import ClipFeatureLoop

from ..run_parts import unwrapped

# How many parameters of a kind are named.
_NAMED = 3
# Buffers that nothing is computed from, which older checkpoints lack.
_UNIMPORTANT = '.num_batches_tracked'


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """See that a checkpoint fits the model before it is loaded.

    MMEngine loads what fits, logs the rest, and goes on, be it with random
    weights. With this hook

    - testing and resuming refuse a checkpoint unless all of it fits;
    - training (``load_from``) refuses one of which nothing fits, and warns
      where the backbone, the neck or the head gets nothing.

    Parameters and buffers fit by name and shape. Those of a part that has
    none in the model do not count: a ``FeatureHead`` needs no class layer,
    nor does :class:`ClipFeatureLoop`.

    Args:
        strict (bool): Whether testing refuses. False lets it go on with what
            fits, as MMEngine does, as long as something does. Defaults to
            True.

    Raises:
        ValueError: In ``after_load_checkpoint``; the message names the first
            parameters that are missing, unexpected or of another shape.
    """

    def __init__(self, strict: bool = True) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the checkpoint with the model."""
        known = isinstance(checkpoint, Mapping)
        found = _shapes(
            checkpoint.get('state_dict', checkpoint) if known else {}
        )
        # As MMEngine, which strips it.
        found = {re.sub(r'^module\.', '', k): v for k, v in found.items()}
        wanted = _shapes(unwrapped(runner.model).state_dict())
        if isinstance(runner._test_loop, ClipFeatureLoop):
            # Which writes what the class layer is given.
            for name in runner._test_loop.unused_parameters():
                found.pop(name, None)
                wanted.pop(name)
        fitting = {name for name in found if found[name] == wanted.get(name)}
        parts = {_part(name) for name in wanted}
        surplus = {n for n in found if n not in wanted and _part(n) in parts}
        if len(fitting) == len(wanted) and not surplus:
            return
        differing = _differences(found, wanted)
        path = runner._load_from or find_latest_checkpoint(runner.work_dir)
        if not fitting:
            raise ValueError(
                f'{path}: nothing of this checkpoint fits the model. '
                f'{differing} Name a checkpoint of this network.'
            )
        # Only what this run is about has been built.
        training = isinstance(runner._train_loop, BaseLoop)
        if training and runner._resume:
            raise ValueError(
                f'{path}: this checkpoint does not fit the model, so that '
                f'training cannot be resumed from it. {differing} Use the '
                'config that it was trained with; to begin anew from what '
                'fits, use load_from without resume.'
            )
        if training:
            for part in sorted(parts - {_part(name) for name in fitting}):
                own = {k: v for k, v in wanted.items() if _part(k) == part}
                theirs = {k: v for k, v in found.items() if _part(k) == part}
                runner.logger.warning(
                    f'{path}: model.{part} gets nothing from this checkpoint '
                    'and keeps its initial weights. '
                    f'{_differences(theirs, own)}'
                )
        elif self.strict:
            raise ValueError(
                f'{path}: this checkpoint does not fit the model, and testing '
                f'needs all of it. {differing} Use the config that it was '
                'trained with. To test with what fits, and initial weights '
                'for the rest, write default_hooks.checkpoint_fit.strict='
                'False.'
            )


def _part(name: str) -> str:
    """``backbone``, ``neck`` and so on, of a parameter."""
    return name.partition('.')[0]


def _shapes(state: Mapping) -> dict[str, Optional[tuple]]:
    """Names and shapes; None for what is no tensor."""
    return {
        str(name): tuple(value.shape) if hasattr(value, 'shape') else None
        for name, value in state.items()
        if not str(name).endswith(_UNIMPORTANT)
    }


def _differences(found: dict, wanted: dict) -> str:
    """What does not fit, in words."""
    other = [
        f'{name} {found[name]}, not {wanted[name]}'
        for name in wanted
        if name in found and found[name] != wanted[name]
    ]
    sentences = []
    for what, names in (
        ('Of another shape', other),
        ('Missing in it', [name for name in wanted if name not in found]),
        ('Not in the model', [name for name in found if name not in wanted]),
    ):
        if names:
            more = len(names) - _NAMED
            rest = f' and {more} more' if more > 0 else ''
            sentences.append(f'{what}: {", ".join(names[:_NAMED])}{rest}.')
    return ' '.join(sentences)

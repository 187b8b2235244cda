"""What a chunk's recomputation must repeat, and what it must not."""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recomputed(model: nn.Module, run: Any, *arguments: Any) -> Any:
    """Call a part of a model, non-reentrantly checkpointed.

    Random draws are repeated, also numpy's and Python's, and the statistics
    of BatchNorm see the clips once. Returns what ``run(*arguments)`` does.
    """

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        state = random.getstate(), np.random.get_state()
        return nullcontext(), _recomputation(model, *state)

    return checkpoint(
        run, *arguments, use_reentrant=False, context_fn=contexts
    )


def training_norms(model: nn.Module) -> list[nn.Module]:
    """BatchNorm layers that normalise by the statistics of their batch."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.training
    ]


@contextmanager
def _recomputation(
    model: nn.Module, python_state: Any, numpy_state: Any
) -> Iterator[None]:
    # PyTorch repeats its own draws. TRN's head draws by numpy.
    now = random.getstate(), np.random.get_state()
    random.setstate(python_state)
    np.random.set_state(numpy_state)
    # The statistics have seen these clips already.
    buffers = [norm._buffers for norm in training_norms(model)]
    kept = [dict(named) for named in buffers]
    for named in buffers:
        for name, value in named.items():
            named[name] = None if value is None else value.clone()
    try:
        yield
    finally:
        for named, values in zip(buffers, kept):
            named.update(values)
        random.setstate(now[0])
        np.random.set_state(now[1])

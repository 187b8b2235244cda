"""How functions and modules of others are replaced, no wider than needed."""

import contextlib
import functools
import sys
import types
from collections.abc import Iterator
from typing import Any, Callable


@contextlib.contextmanager
def modules(**modules: types.ModuleType) -> Iterator[None]:
    """Have modules imported by other names for a while."""
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


def replace_everywhere(
    module: types.ModuleType, name: str, value: Any
) -> None:
    """Replace a function in its module, and where OpenMMLab imported it."""
    original = getattr(module, name)
    for key, other in list(sys.modules.items()):
        if key.partition('.')[0] in ('mmengine', 'mmcv', 'mmaction'):
            if vars(other).get(name) is original:
                setattr(other, name, value)


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give an attribute another value for a while."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def wrap_once(
    owner: Any, name: str, wrap: Callable, kind: Callable = lambda x: x
) -> bool:
    """Replace a function by what ``wrap`` makes of it, unless it already is.

    Args:
        owner (Any): Module or class.
        name (str): Name of the function.
        wrap (Callable): Makes the function that takes its place.
        kind (Callable): ``staticmethod`` for such a one.
    """
    original = getattr(owner, name)
    if hasattr(original, '_wrapped_by_vll_mmaction'):
        return False
    wrapped = functools.wraps(original)(wrap(original))
    wrapped._wrapped_by_vll_mmaction = True
    setattr(owner, name, kind(wrapped))
    return True

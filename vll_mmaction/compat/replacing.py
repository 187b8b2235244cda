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
    owner: Any, name: str, around: Callable, kind: Callable = lambda x: x
) -> bool:
    """Have a function called by another one, unless it already is.

    Args:
        owner (Any): Module or class.
        name (str): Name of the function.
        around (Callable): Called in its place, with it before its arguments.
        kind (Callable): ``staticmethod`` or the like. Defaults to none.

    Returns:
        bool: Whether it was not so before.
    """
    original = getattr(owner, name)
    if hasattr(original, '_wrapped_by_vll_mmaction'):
        return False

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return around(original, *args, **kwargs)

    wrapped._wrapped_by_vll_mmaction = True
    setattr(owner, name, kind(wrapped))
    return True

"""Twins of MMAction2's heads: the same head with a mixin before it."""

import inspect
from typing import Any, Callable, NoReturn

from mmaction.models.heads import BaseHead
from mmaction.registry import MODELS


def register_twins(
    prefix: str, mixin: type, not_served: dict[str, str], namespace: dict
) -> list[str]:
    """Make and register a twin of each stock head; return their names.

    Args:
        prefix (str): Put before the stock head's name.
        mixin (type): Put before the stock head.
        not_served (dict[str, str]): Stock heads that have no twin, and why;
            to build one is an error with this reason.
        namespace (dict): Of the calling module, where the twins are put, so
            that they can be pickled.
    """
    names = []
    for name, stock in list(MODELS.module_dict.items()):
        if not (inspect.isclass(stock) and issubclass(stock, BaseHead)):
            continue
        # A user's own head may override what the mixin relies on: there,
        # write the class by hand.
        if not stock.__module__.startswith('mmaction.models.heads.'):
            continue
        if name in not_served:
            twin = _refuse(prefix, name, not_served[name])
        else:
            twin = type(stock)(
                f'{prefix}{name}',
                (mixin, stock),
                dict(
                    __module__=namespace['__name__'],
                    __doc__=f':class:`{name}` with :class:`{mixin.__name__}`.',
                ),
            )
            namespace[twin.__name__] = twin
            names.append(twin.__name__)
        MODELS.register_module(name=f'{prefix}{name}', module=twin)
    return names


def _refuse(prefix: str, name: str, reason: str) -> Callable[..., NoReturn]:
    def build(*args: Any, **kwargs: Any) -> NoReturn:
        raise ValueError(
            f'there is no {prefix}{name}: {name} cannot serve, since {reason}'
        )

    return build

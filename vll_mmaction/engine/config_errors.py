"""Says what a config may hold where MMEngine says only that it failed.

MMEngine's messages about an unknown ``type`` or argument name neither the
names that are allowed nor, for an argument, its value; MMAction2's about an
annotation list no line of it; that a checkpoint can't be fetched is said
without its address. They are added here; nothing else about building and
loading changes.
"""

import difflib
import errno
import importlib
import inspect
import os
import os.path as osp
import pickle
import re
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import torch
from mmengine.registry import Registry

from ..compat.replacing import wrap_once
from ..version import __version__

# A registry with more names than that is answered with the similar ones.
MAX_NAMES = 12

_UNREADABLE = (EOFError, OSError, RuntimeError, pickle.UnpicklingError)
_EXPLAINED = (AssertionError, IndexError, KeyError, TypeError, ValueError)

# What PyTorch says of a file that is no archive, and no pickle either.
_NO_CHECKPOINT = (
    'PytorchStreamReader|unexpected EOF|Unsupported operand|unexpected pos'
)

# In mmengine.runner a function has that name.
mmengine_checkpoint = importlib.import_module('mmengine.runner.checkpoint')


def explain() -> None:
    """Let errors of MMEngine say what is allowed, or to be done. Idempotent.

    Those of building by a registry, and of fetching and reading a checkpoint.
    """
    loader = mmengine_checkpoint.CheckpointLoader
    wrap_once(Registry, 'build', _build)
    wrap_once(mmengine_checkpoint, 'load_url', _load_url)
    wrap_once(loader, 'load_checkpoint', _load_checkpoint, staticmethod)


def _load_url(load: Callable, url: str, *args: Any, **kwargs: Any) -> Any:
    try:
        return load(url, *args, **kwargs)
    except OSError as error:
        name = osp.basename(urlsplit(url).path)
        folder = osp.join(torch.hub.get_dir(), 'checkpoints')
        raise ConnectionError(
            f'{url} could not be fetched ({error}). Fetch it where there '
            f'is a connection and put it at {osp.join(folder, name)}, or '
            'write its path in place of the address, which load_from or '
            'the like in the config gives.'
        ) from error


def _load_checkpoint(
    load: Callable, filename: str, *args: Any, **kwargs: Any
) -> Any:
    if osp.isdir(filename):
        names = sorted(x for x in os.listdir(filename) if x.endswith('.pth'))
        raise ValueError(
            f'{filename} is a folder: name a checkpoint, of which it '
            f'holds {", ".join(names[:MAX_NAMES]) or "none"}.'
        )
    try:
        return load(filename, *args, **kwargs)
    except _UNREADABLE as error:
        if not (
            isinstance(error, EOFError)
            or getattr(error, 'errno', None) == errno.EINVAL
            or re.search(_NO_CHECKPOINT, str(error))
        ):
            raise
        raise ValueError(
            f'{filename} is no checkpoint, or was cut short. Name '
            'another, or fetch it again.'
        ) from error


def _build(
    build: Callable, self: Registry, cfg: dict, *args: Any, **kwargs: Any
) -> Any:
    try:
        return build(self, cfg, *args, **kwargs)
    except _EXPLAINED as error:
        # An inner build may have explained it already.
        if not hasattr(error, '_explained'):
            more = _unknown_type(self, cfg, error) or _unknown_argument(
                self, cfg, error
            )
            if more:
                error.args = (more,)
                setattr(error, '_explained', True)  # noqa: B010
            elif line := _bad_line(error):
                raise ValueError(line) from error
        raise


def _unknown_type(registry: Registry, cfg: dict, error: Exception) -> str:
    """What to say of a name that is not registered, '' if that isn't it."""
    name = cfg.get('type') if isinstance(cfg, dict) else None
    wanted = f'{name} is not in the '
    if not isinstance(name, str) or not _text(error).startswith(wanted):
        return ''
    names = sorted(set(_names(registry.root)))
    scope = next(
        (s for s, r in registry.children.items() if name in r.module_dict), ''
    )
    if scope:
        return (
            f"type='{name}' is of the scope '{scope}', but asked for outside "
            f"of it: set default_scope = '{scope}' in the config, or call "
            f"mmengine.registry.init_default_scope('{scope}') first."
        )
    if len(names) <= MAX_NAMES:
        known = f'It has {", ".join(names)}.'
    else:
        similar = difflib.get_close_matches(name.split('.')[-1], names, 3, 0.7)
        known = (
            f'Of its {len(names)} names these are similar: '
            f'{", ".join(similar) or "none"}.'
        )
    return (
        f"type='{name}' is not in the registry of {registry.name}s, in "
        f'{_shown(cfg)}. {known} Correct the name; a class of your own must '
        'be imported by custom_imports.'
    )


def _bad_line(error: BaseException) -> str:
    """What to say of the line of a list that a stock dataset fails at, or ''.

    Its ``load_data_list`` goes through the lines, and keeps what it has read
    of each.
    """
    cause = error.__context__ or error
    for frame, _ in traceback.walk_tb(cause.__traceback__):
        known = frame.f_locals
        if (
            frame.f_code.co_name != 'load_data_list'
            or not frame.f_globals['__name__'].startswith('mmaction.')
            or 'self' not in known
        ):
            continue
        if isinstance(cause, UnicodeDecodeError):
            return (
                f'{known["self"].ann_file}: {cause}. Save the file as UTF-8.'
            )
        if {'line', 'data_list'} <= known.keys():
            kind = type(known['self']).__name__
            return (
                f'{known["self"].ann_file}, line {len(known["data_list"]) + 1}'
                f': {known["line"]!r} is none that {kind} reads ({cause}). '
                'Wanted: a path, in frames their number, and a label, with '
                'one blank before each and none in the path, and no empty '
                'lines. The datasets of vll_mmaction allow them.'
            )
    return ''


def _text(error: BaseException) -> str:
    return str(error.args[0]) if error.args else ''


def _names(registry: Registry) -> Iterator[str]:
    yield from registry.module_dict
    for child in registry.children.values():
        yield from _names(child)


def _unknown_argument(registry: Registry, cfg: dict, error: Exception) -> str:
    """What to say of an argument that a class does not take, or ''."""
    found = re.search(
        r"got an unexpected keyword argument '(\w+)'", _text(error)
    )
    if not found or not isinstance(cfg, dict):
        return ''
    name, kind = found[1], cfg.get('type')
    if isinstance(kind, str):
        with registry.switch_scope_and_registry(None) as scoped:
            kind = scoped.get(kind)
    if name not in cfg or not inspect.isclass(kind):
        return ''
    allowed = _arguments(kind)
    if name in allowed:
        return ''
    # The config may have been written for another version.
    ours = kind.__module__.startswith('vll_mmaction')
    version = f' in vll_mmaction {__version__}' if ours else ''
    similar = difflib.get_close_matches(name, allowed, 1)
    meant = f' Did you mean {similar[0]}?' if similar else ''
    return (
        f'{kind.__name__} has no argument {name}={cfg[name]!r}{version}. It '
        f'takes {", ".join(allowed)}.{meant}'
    )


def _arguments(kind: type) -> list[str]:
    """Names that a class takes, also those it hands on by ``**kwargs``."""
    names: dict[str, None] = {}
    for base in kind.__mro__:
        init = base.__dict__.get('__init__')
        if init is None:
            continue
        parameters = list(inspect.signature(init).parameters.values())
        for parameter in parameters[1:]:
            if parameter.kind in (
                parameter.POSITIONAL_OR_KEYWORD,
                parameter.KEYWORD_ONLY,
            ):
                names.setdefault(parameter.name)
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return list(names)


def _shown(cfg: dict) -> str:
    """A config dict in short."""
    text = ', '.join(f'{key}={value!r}' for key, value in cfg.items())
    return f'dict({text if len(text) < 120 else text[:120] + "..."})'

"""Python, its packages and numpy, as today's releases have them."""

import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import os.path as osp
import pkgutil
import sys
import types
from pathlib import Path
from typing import Any, Callable

import cv2
import mmaction
import numpy as np
from packaging.version import Version

from .replacing import modules, replace_everywhere, wrap_once


def find_packages() -> bool:
    """Let MMEngine find packages without ``pkg_resources``.

    It is gone from setuptools 81 on. Configs that begin with
    ``_base_ = 'mmaction::...'`` ask for packages, as ``get_model`` does.
    """
    utils = importlib.import_module('mmengine.utils.package_utils')
    asks = 'pkg_resources' in utils.is_installed.__code__.co_names
    if not asks or importlib.util.find_spec('pkg_resources'):
        return False
    for function in (_is_installed, _get_installed_path):
        replace_everywhere(utils, function.__name__[1:], function)
    return True


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None
    return True


def _get_installed_path(package: str) -> str:
    modules = [package]
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found = importlib.metadata.distribution(package)
        modules += (found.read_text('top_level.txt') or '').split()
    for module in modules:
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            return osp.dirname(spec.origin)
    raise importlib.metadata.PackageNotFoundError(package)


def collect_env_without_distutils() -> bool:
    """Let a runner start without ``distutils``.

    MMEngine imports an error's class from it, to list the environment. From
    Python 3.12 on only setuptools brings it.
    """
    name = 'mmengine.utils.dl_utils.collect_env'
    module = importlib.import_module(name)
    if importlib.util.find_spec('distutils'):
        return False
    original = module.collect_env
    errors = types.ModuleType('distutils.errors')
    errors.DistutilsPlatformError = OSError
    package = types.ModuleType('distutils')
    package.errors = errors

    @functools.wraps(original)
    def collect_env() -> dict:
        with modules(distutils=package):
            return original()

    replace_everywhere(module, 'collect_env', collect_env)
    return True


def find_extensions() -> bool:
    """Let MMEngine and mmcv ask whether mmcv has its compiled part.

    ``pkgutil.find_loader``, by which they do, is gone from Python 3.14 on.
    """
    if hasattr(pkgutil, 'find_loader'):
        return False
    stand_in = types.SimpleNamespace(find_loader=importlib.util.find_spec)
    for name in ('mmengine.utils.dl_utils.misc', 'mmcv.utils.ext_loader'):
        module = importlib.import_module(name)
        if hasattr(module, 'pkgutil'):
            module.pkgutil = stand_in
    return True


def provide_importlib_metadata() -> bool:
    """Give MMAction2 what it takes from ``importlib_metadata``.

    It doesn't declare that package; Python has had the same since 3.8.
    """
    name = 'mmaction.utils.dependency'
    if name in sys.modules or importlib.util.find_spec('importlib_metadata'):
        return False
    with modules(importlib_metadata=importlib.metadata):
        importlib.import_module(name)
    return True


def provide_drn() -> bool:
    """Stand in for ``mmaction.models.localizers.drn``.

    The wheel and the sdist of MMAction2 1.2.0 lack these files
    (mmaction2#2714), and ``import mmaction.models`` fails without them.
    Nothing is done where the files are there, as in a source checkout.
    """
    name = 'mmaction.models.localizers.drn'
    files = Path(mmaction.__file__).parent / 'models/localizers/drn'
    if files.exists() or name in sys.modules:
        return False

    from mmaction.registry import MODELS

    class DRN:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise ImportError(
                'The installed MMAction2 lacks the files of DRN '
                '(mmaction2#2714): install MMAction2 from its repository '
                'to use it.'
            )

    MODELS.register_module(module=DRN)
    for module_name in (name, f'{name}.drn'):
        module = types.ModuleType(module_name, 'Stands in for lost files.')
        module.DRN = DRN
        sys.modules[module_name] = module
    return True


def turn_hue_back() -> bool:
    """Let ``ColorJitter`` turn the hue back, too.

    numpy 2 refuses to add a negative number to an array of uint8, of which
    numpy 1 made int16. Other hues are left to MMAction2.
    """
    if Version(np.__version__) < Version('2'):
        return False
    from mmaction.datasets.transforms import ColorJitter

    def adjust_hue(
        turn: Callable, img: np.ndarray, factor: float
    ) -> np.ndarray:
        if int(factor * 255) >= 0:
            return turn(img, factor)
        img = np.clip(img, 0, 255).astype(np.uint8)
        hsv = cv2.cvtColor(img, cv2.COLOR_RGB2HSV)
        hue = hsv[..., 0].astype(np.int16) + int(factor * 255)
        hsv[..., 0] = hue % 180
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)

    return wrap_once(ColorJitter, 'adjust_hue', adjust_hue, staticmethod)

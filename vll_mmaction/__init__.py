"""Video-level learning for MMAction2: a plugin.

Importing it registers everything, so all that a config needs is
``custom_imports = dict(imports=['vll_mmaction'],
allow_failed_imports=False)``.
"""

from .version import __version__, check_versions

check_versions()

# Before the first import of `mmaction.models`, which fails without it.
from . import compat  # noqa: E402

compat.apply()

from . import datasets, engine, evaluation, models  # noqa: E402

engine.config_errors.explain()

__all__ = [
    '__version__',
    'compat',
    'datasets',
    'engine',
    'evaluation',
    'models',
]

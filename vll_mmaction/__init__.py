"""Video-level learning for MMAction2: a plugin.

Importing it registers everything, so all that a config needs is
``custom_imports = dict(imports=['vll_mmaction'],
allow_failed_imports=False)``.
"""

from .version import __version__, check_versions

check_versions()

# Before the first import of `mmaction.models`, which fails without it.
from . import compat, config_errors  # noqa: E402

compat.apply()
config_errors.explain()

from . import datasets, engine, evaluation, models  # noqa: E402

__all__ = [
    '__version__',
    'compat',
    'datasets',
    'engine',
    'evaluation',
    'models',
]

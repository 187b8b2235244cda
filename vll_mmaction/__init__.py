"""Video-level learning for MMAction2: a plugin.

Importing it registers everything, so all that a config needs is
``custom_imports = dict(imports=['vll_mmaction'],
allow_failed_imports=False)``.
"""

import sys

from .version import __version__, check_versions, explained

# `python -m vll_mmaction doctor` is for where the rest can't be imported.
if sys.argv[:2] != ['-m', 'doctor']:
    check_versions()
    with explained():
        # Before the first import of `mmaction.models`, which fails without.
        from . import compat

        compat.apply()

        from . import datasets, engine, evaluation, models

    engine.config_errors.explain()

__all__ = [
    '__version__',
    'compat',
    'datasets',
    'engine',
    'evaluation',
    'models',
]

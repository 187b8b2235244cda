"""This package's version, and the versions of others that it works with.

``setup.py`` runs this file too, so its head imports no installed package.
"""

import importlib
from importlib import metadata

__version__ = '0.1.0'

# Distribution: (versions, module whose `__version__` tells the truth).
# setuptools 81 dropped `pkg_resources`, which MMEngine uses, and numpy 2.4
# `np.in1d`, which MMAction2 uses. MMAction2 imports importlib_metadata
# without declaring it. From torch 2.0 on, a DataLoader fetches a batch by
# `__getitems__`; 2.1 knows the allocator's setting in tools/lib/launch.sh.
REQUIRED = {
    'setuptools': ('<81', None),
    'importlib_metadata': ('', None),
    'numpy': ('<2', 'numpy'),
    'torch': ('>=2.1', 'torch'),
    'mmengine': ('>=0.7.1,<1.0.0', 'mmengine'),
    'mmcv-lite': ('>=2.0.0rc4,<2.2.0', 'mmcv'),
    'mmaction2': ('>=1.2.0,<1.3', 'mmaction'),
}


def check_versions() -> None:
    """Check that every package of ``REQUIRED`` is there and fits.

    Raises:
        ImportError: One line for each package that is missing or of another
            version, with the pip command that helps.
    """
    problems: list[str] = []
    for name, (wanted, module) in REQUIRED.items():
        if name == 'mmaction2' and problems:
            break  # importing it asserts some of the others
        if name == 'mmcv-lite' and _metadata_version('mmcv'):
            # Both install the module `mmcv`: never the one over the other.
            name = 'mmcv'
        installed = (
            _module_version(module) if module else _metadata_version(name)
        )
        if not installed or not _fits(installed, wanted):
            state = f'{installed} is installed' if installed else 'is missing'
            problems.append(
                f'vll_mmaction needs {name}{wanted}, but {name} {state}: '
                f'pip install "{name}{wanted}"'
            )
    if problems:
        raise ImportError('\n'.join(problems))


def _metadata_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ''


def _module_version(module: str) -> str:
    try:
        return importlib.import_module(module).__version__
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return ''


def _fits(installed: str, wanted: str) -> bool:
    # Imported here, since setup.py runs before anything is installed.
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(installed, prereleases=True)

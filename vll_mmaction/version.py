"""This package's version, and the versions of others that it works with.

``setup.py`` runs this file too, so its head imports no installed package.
"""

import contextlib
import importlib
from collections.abc import Iterator
from importlib import metadata

__version__ = '0.1.0'

# Distribution: (versions, module whose `__version__` tells the truth).
# numpy 1.26 is the first one that knows numpy 2's names, which a checkpoint
# may hold. From torch 2.0 on, a DataLoader fetches a batch by `__getitems__`;
# 2.1 knows the allocator's setting in tools/lib/launch.sh.
REQUIRED = {
    'numpy': ('>=1.26', 'numpy'),
    'torch': ('>=2.1', 'torch'),
    'mmengine': ('>=0.7.1,<1.0.0', 'mmengine'),
    'mmcv-lite': ('>=2.0.0rc4,<2.2.0', 'mmcv'),
    'mmaction2': ('>=1.2.0,<1.3', 'mmaction'),
}

# Distributions that install the same module as one of those: each of them
# will do, but never one over the other.
TWINS = {
    'mmengine': ('mmengine-lite', 'onedl-mmengine'),
    'mmcv-lite': ('mmcv', 'onedl-mmcv'),
}

# Modules whose distribution has another name.
DISTRIBUTIONS = {
    'cv2': 'opencv-python opencv-contrib-python',
    'PIL': 'pillow',
    'yaml': 'PyYAML',
}


def check_versions() -> None:
    """Check that every package of ``REQUIRED`` is there and fits.

    Raises:
        ImportError: One line for each package that is missing, of another
            version, broken or there twice, with the command that helps.
    """
    problems: list[str] = []
    for name, (wanted, module) in REQUIRED.items():
        if name == 'mmaction2' and problems:
            break  # importing it asserts some of the others
        problem = _find_problem(name, wanted, module)
        if problem and problem not in problems:
            problems.append(problem)
    if problems:
        raise ImportError('\n'.join(problems))


def _find_problem(name: str, wanted: str, module: str) -> str:
    twins = TWINS.get(name, ())
    there = [x for x in (name, *twins) if metadata_version(x)]
    if len(there) > 1:
        # Of what the user chose, rather than what another package brought.
        keep = there[-1]
        if not _fits(metadata_version(keep), wanted):
            keep = there[0]
        keep = f'{keep}=={metadata_version(keep)}'
        return (
            f'{" and ".join(there)} are installed, both as the module '
            f'{module}: pip uninstall -y {" ".join(there)}; '
            f'pip install --no-deps "{keep}"'
        )
    if there:
        name = there[0]
    try:
        installed = importlib.import_module(module).__version__
    except ModuleNotFoundError as error:
        if error.name != module:
            return explain_import(error)
        return _wants(name, wanted, 'is missing')
    # A binary that doesn't fit another one raises what it likes.
    except Exception as error:
        return explain_import(error, name)
    if _fits(installed, wanted):
        if name == 'torch' and not _knows_numpy(installed):
            return _wants('torch', '>=2.3', 'has no numpy 2')
        return ''
    if name in twins and name.startswith('onedl'):
        ours = next(x for x, others in TWINS.items() if name in others)
        return (
            f'MMAction2 refuses {name} {installed}: pip uninstall -y {name}; '
            f'pip install "{ours}{wanted}"'
        )
    return _wants(name, wanted, f'{installed} is installed')


def _wants(name: str, wanted: str, state: str) -> str:
    return (
        f'vll_mmaction needs {name}{wanted}, but {name} {state}: '
        f'pip install "{name}{wanted}"'
    )


def _knows_numpy(torch: str) -> bool:
    """PyTorch 2.1 and 2.2 were built for numpy 1, and pip doesn't know."""
    numpy = importlib.import_module('numpy').__version__
    return _fits(torch, '>=2.3') or _fits(numpy, '<2')


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn a package's failing import into a line with what helps.

    Raises:
        ImportError: In place of one from outside of this package.
    """
    try:
        yield
    except ImportError as error:
        if (error.name or '').partition('.')[0] == __package__:
            raise
        raise ImportError(explain_import(error)) from error


def explain_import(error: Exception, name: str = '') -> str:
    """What is broken where an import failed, and the command that helps.

    Args:
        error (Exception): What the import raised.
        name (str): Distribution that was imported.

    Returns:
        str: A line.
    """
    said = f'{error}'.partition('\n')[0]
    module = (getattr(error, 'name', None) or '').partition('.')[0]
    if isinstance(error, ModuleNotFoundError):
        name = DISTRIBUTIONS.get(module, module)
        return f'vll_mmaction needs {module}, which is missing: ' + (
            f'pip install {name}'
        )
    # Which one is named first differs between OpenCV's versions.
    lacks = module == 'cv2' and 'cannot open shared object file' in said
    if lacks or any(x in said for x in ('libGL', 'libgthread', 'libglib')):
        return (
            f'OpenCV lacks a system library ({said}): on Debian or Ubuntu, '
            'apt-get install libgl1 libglib2.0-0'
        )
    name = name or DISTRIBUTIONS.get(module, module)
    marks = 'cv2', 'multiarray', '_ARRAY_API'
    if module == 'cv2' or any(mark in said for mark in marks):
        # Not what imports it. Before 4.10 it was built for numpy 1.
        name = DISTRIBUTIONS['cv2']
    return (
        f'{name} cannot be imported ({type(error).__name__}: {said}): '
        f'pip install --upgrade --force-reinstall {name}'
    )


def metadata_version(name: str) -> str:
    """The installed version of a distribution, '' where there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ''


def _fits(installed: str, wanted: str) -> bool:
    # Imported here, since setup.py runs before anything is installed.
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(installed, prereleases=True)

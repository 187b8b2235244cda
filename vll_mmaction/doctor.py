"""Says what an environment is made of, and what helps where it is broken.

    python -m vll_mmaction doctor

Also works where the plugin itself can't be imported.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import warnings
from collections.abc import Iterator
from typing import Any, Callable

from .version import (
    TWINS,
    __version__,
    check_versions,
    explain_import,
    explained,
    metadata_version,
)

# Distributions by the module that they install. Two at a time leave a mixture
# of their files, and what one loses goes when the other is uninstalled.
SHARED_MODULES = {
    'cv2': (
        'opencv-python',
        'opencv-contrib-python',
        'opencv-python-headless',
        'opencv-contrib-python-headless',
    ),
    'decord': ('decord', 'decord2', 'eva-decord'),
    'mmcv': ('mmcv-lite', *TWINS['mmcv-lite']),
    'mmengine': ('mmengine', *TWINS['mmengine']),
}
PACKAGES = ('torch', 'numpy', 'mmaction2', 'setuptools')
GIB = 2**30
# Below these a DataLoader's workers may die or stop. One batch of 16 videos
# of the paper's clips is 0.1 GiB and some dozen file handles.
LEAST_SHARED_MEMORY = GIB
LEAST_FILE_HANDLES = 1024


# Of each thing its name, what was said of it, and its problems.
Rows = Iterator[tuple[str, ...]]


def diagnose() -> tuple[list[tuple[str, str]], list[str]]:
    """Look at all there is.

    Returns:
        tuple: What was found, as pairs of a name and what was said of it, and
        the problems, a line each with the command that helps.
    """
    found: list[tuple[str, str]] = []
    problems: list[str] = []
    for part in (
        _versions,
        _shared_modules,
        _plugin,
        _decoders,
        _compiled,
        _gpus,
        _limits,
    ):
        try:
            for name, said, *problem in part():
                found.append((name, said))
                problems += [x for x in problem if x not in problems]
        except Exception as error:
            name = part.__name__[1:]
            found.append((name, 'not found out'))
            problems.append(
                explain_import(error)
                if isinstance(error, ImportError)
                else f'{name} not found out ({type(error).__name__}: {error})'
            )
    return found, list(dict.fromkeys(problems))


def _versions() -> Rows:
    yield 'vll_mmaction', f'{__version__} in {os.path.dirname(__file__)}'
    yield 'Python', f'{platform.python_version()}, {platform.platform()}'
    yield (
        'packages',
        ', '.join(f'{x} {metadata_version(x) or "missing"}' for x in PACKAGES),
    )


def _shared_modules() -> Rows:
    for module, names in SHARED_MODULES.items():
        there = {x: metadata_version(x) for x in names if metadata_version(x)}
        said = ' and '.join(f'{x} {v}' for x, v in there.items()) or 'missing'
        # Those of REQUIRED are refused at the import, which says more.
        if module in ('cv2', 'decord') and len({*there.values()}) > 1:
            yield module, said, _two_in_one(module, there)
        else:
            yield module, said


def _two_in_one(module: str, there: dict[str, str]) -> str:
    names = ' '.join(there)
    if module == 'decord':
        keep = names.split()[0]
    else:
        # The lower one: not all four packages have the newest.
        lowest = min(there.values(), key=lambda x: [*map(int, x.split('.'))])
        keep = ' '.join(f'"{name}=={lowest}"' for name in there)
    return (
        f'{" and ".join(there)} are of different versions, both as the '
        f'module {module}: pip uninstall -y {names}; '
        f'pip install --no-deps {keep}'
    )


def _plugin() -> Rows:
    try:
        check_versions()
        with explained():
            from . import compat

            compat.apply()
            for name in ('datasets', 'engine', 'evaluation', 'models'):
                importlib.import_module(f'{__package__}.{name}')
    except ImportError as error:
        yield ('plugin', 'cannot be imported', *str(error).splitlines())
        return
    yield 'plugin', 'can be imported'
    for line in compat.MENDED:
        yield 'mended', line


def _decoders() -> Rows:
    try:
        import av
        from av import library_versions

        libraries = ', '.join(
            f'{name} {".".join(map(str, numbers))}'
            for name, numbers in sorted(library_versions.items())
            if name in ('libavcodec', 'libavformat', 'libswscale')
        )
        yield 'PyAV', f'{av.__version__}, FFmpeg with {libraries}'
    except ImportError as error:
        yield 'PyAV', 'missing', explain_import(error, 'av')
    import cv2

    lines = [x.strip() for x in cv2.getBuildInformation().splitlines()]
    ffmpeg = next((x for x in lines if x.startswith('FFMPEG:')), 'no FFmpeg')
    yield 'OpenCV', f'{cv2.__version__}, {" ".join(ffmpeg.split())}'


def _compiled() -> Rows:
    module = f'{__package__}.video_io._fast_resize'
    if importlib.util.find_spec(module) is None:
        # Without it everything works, slower: no problem.
        said = 'missing, OpenCV resizes: pip install -e . with a C compiler'
    else:
        from .video_io import fast_resize

        said = 'used'
        if fast_resize.resize_crop is None:
            said = 'there, but this processor lacks AVX2: OpenCV resizes'
    yield 'compiled resize', said


def _gpus() -> Rows:
    import torch

    build = f'PyTorch is built for CUDA {torch.version.cuda}'
    if not torch.version.cuda:
        build = 'PyTorch is built without CUDA'
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        there = torch.cuda.is_available()
    driver = os.path.exists('/proc/driver/nvidia/version')
    driver = driver or shutil.which('nvidia-smi') is not None
    if not there:
        problems = []
        if driver:
            said = f'{caught[0].message}'.partition('\n')[0] if caught else ''
            problems.append(
                f'PyTorch sees no GPU, though a driver is there ({build}) '
                f'{said}: nvidia-smi, and choose the build at pytorch.org'
            )
        yield ('GPUs', f'none; {build}', *problems)
        return
    yield 'CUDA', build
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        yield (
            f'GPU {index}',
            f'{gpu.name}, {gpu.total_memory / GIB:.0f} GiB, capability '
            f'{gpu.major}.{gpu.minor}',
        )


def _limits() -> Rows:
    if os.path.isdir('/dev/shm'):
        space = shutil.disk_usage('/dev/shm').free
        free, problems = f'{space / GIB:.1f} GiB free', []
        if space < LEAST_SHARED_MEMORY:
            problems.append(
                f'/dev/shm has {free}, workers pass their batches through it: '
                'docker run --shm-size=8g'
            )
        yield ('shared memory', free, *problems)
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    problems = []
    if 0 <= soft < LEAST_FILE_HANDLES:
        problems.append(f'{soft} file handles are few: ulimit -n 4096')
    yield ('file handles', f'{soft} (at most {hard})', *problems)


def main(say: Callable[[str], Any] = print) -> int:
    """Print what was found, then the problems.

    Args:
        say (Callable): Gets each line.

    Returns:
        int: 1 where there is a problem, else 0.
    """
    warnings.simplefilter('ignore')
    found, problems = diagnose()
    width = max(len(name) for name, _ in found)
    for name, said in found:
        say(f'{name:{width}}  {said}')
    say('')
    for problem in problems:
        say(f'! {problem}')
    say(f'Problems: {len(problems)}' if problems else 'Nothing is wrong.')
    return bool(problems)

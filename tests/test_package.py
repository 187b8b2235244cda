import os
import re
import runpy
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import mmaction
import mmcv
import mmengine
import numpy as np
import pytest
import setuptools
from packaging.specifiers import SpecifierSet

import vll_mmaction
from vll_mmaction import version

ROOT = Path(__file__).parents[1]


# The check of versions


def problems():
    """What the check has to say, line by line."""
    with pytest.raises(ImportError) as error:
        version.check_versions()
    return str(error.value).split('\n')


def test_tested_versions_pass():
    version.check_versions()


@pytest.mark.parametrize(
    'module, installed, name, wanted',
    [
        (mmcv, '2.2.0', 'mmcv-lite', '>=2.0.0rc4,<2.2.0'),
        (mmcv, '2.0.0rc3', 'mmcv-lite', '>=2.0.0rc4,<2.2.0'),
        (mmengine, '0.7.0', 'mmengine', '>=0.7.1,<1.0.0'),
        (mmengine, '1.0.0rc1', 'mmengine', '>=0.7.1,<1.0.0'),
        (mmaction, '1.3.0', 'mmaction2', '>=1.2.0,<1.3'),
        (np, '2.0.1', 'numpy', '<2'),
    ],
)
def test_other_version_is_named(monkeypatch, module, installed, name, wanted):
    monkeypatch.setattr(module, '__version__', installed)
    assert problems() == [
        f'vll_mmaction needs {name}{wanted}, but {name} {installed} is '
        f'installed: pip install "{name}{wanted}"'
    ]


@pytest.mark.parametrize(
    'module, installed',
    [
        (mmcv, '2.0.0rc4'),
        (mmcv, '2.1.0'),
        (mmengine, '0.10.7'),
        (sys.modules['torch'], '2.6.0a0+git123'),
    ],
)
def test_versions_in_range_pass(monkeypatch, module, installed):
    monkeypatch.setattr(module, '__version__', installed)
    version.check_versions()


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmaction', None)
    assert problems() == [
        'vll_mmaction needs mmaction2>=1.2.0,<1.3, but mmaction2 is '
        'missing: pip install "mmaction2>=1.2.0,<1.3"'
    ]


def fake_metadata(monkeypatch, **installed):
    """Pretend that these distributions are installed, or are not (None)."""
    real = metadata.version

    def fake(name):
        found = installed[name] if name in installed else real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, 'version', fake)


def test_full_mmcv_is_not_told_to_install_the_lite_one(monkeypatch):
    fake_metadata(monkeypatch, mmcv='2.2.0')
    monkeypatch.setattr(mmcv, '__version__', '2.2.0')
    (problem,) = problems()
    assert problem.endswith('pip install "mmcv>=2.0.0rc4,<2.2.0"')


def test_all_problems_are_told_at_once(monkeypatch):
    fake_metadata(monkeypatch, setuptools='82.0', importlib_metadata=None)
    monkeypatch.setattr(mmcv, '__version__', '2.2.0')
    first, second, third = problems()
    assert 'setuptools 82.0 is installed' in first
    assert 'importlib_metadata is missing' in second
    assert 'mmcv-lite 2.2.0 is installed' in third


# The import


def test_custom_imports_alone_registers(tmp_path):
    """Also where mmaction.models is not imported yet, and twice."""
    config = tmp_path / 'config.py'
    config.write_text(
        "custom_imports = dict(imports=['vll_mmaction'], "
        'allow_failed_imports=False)'
    )
    code = """
import sys
from mmengine.config import Config
for _ in range(2):
    Config.fromfile(sys.argv[1])
from mmaction import datasets, evaluation, models, registry
for name, hook in ('HOOKS', 'IterSeedHook'), ('HOOKS', 'AtomicCheckpointHook'):
    print(getattr(registry, name).get(hook).__module__)
"""
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, config],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    folder = 'vll_mmaction.engine.hooks'
    assert run.stdout.split() == [
        f'{folder}.iter_seed_hook',
        f'{folder}.atomic_checkpoint_hook',
    ]


def test_version():
    assert re.fullmatch(r'\d+\.\d+\.\d+', vll_mmaction.__version__)


# The packaging


@pytest.fixture
def setup_arguments(monkeypatch):
    arguments = {}
    monkeypatch.setattr(setuptools, 'setup', arguments.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path('setup.py')
    return arguments


def test_dependencies(setup_arguments):
    requirements = setup_arguments['install_requires']
    assert {'numpy<2', 'setuptools<81', 'importlib_metadata'} <= set(
        requirements
    )
    # pip would put mmcv-lite over a full mmcv, or take hours to build mmcv.
    assert not [name for name in requirements if name.startswith('mmcv')]
    assert setup_arguments['extras_require']['lite'] == [
        'mmcv-lite>=2.0.0rc4,<2.2.0'
    ]
    assert 'vll_mmaction.engine.hooks' in setup_arguments['packages']


def test_configs_and_tools_are_packaged(tmp_path):
    subprocess.run(
        [
            *(sys.executable, '-W', 'ignore', 'setup.py', '-q'),
            *('build_py', '--build-lib', tmp_path),
        ],
        check=True,
        cwd=ROOT,
    )
    assert (tmp_path / 'vll_mmaction/.mim/tools/dist_train.sh').is_file()
    assert (tmp_path / 'vll_mmaction/.mim/configs').is_dir()


def test_constraints_fit_the_requirements(setup_arguments):
    lines = (ROOT / 'requirements/constraints.txt').read_text().splitlines()
    pins = dict(
        re.fullmatch(r'([\w.-]+)==([\w.]+)', line).groups()
        for line in lines
        if not line.startswith('#')
    )
    extras = setup_arguments['extras_require']
    requirements = setup_arguments['install_requires'] + sum(
        extras.values(), []
    )
    for requirement in requirements:
        name, wanted = re.fullmatch(r'([\w-]+)(.*)', requirement).groups()
        assert SpecifierSet(wanted).contains(pins[name], prereleases=True)

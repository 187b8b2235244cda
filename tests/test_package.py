import ast
import importlib.util
import os
import re
import runpy
import shutil
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
import torch
import yaml
from mmengine.config import Config
from packaging.specifiers import SpecifierSet
from video_files import write_video

import vll_mmaction
from vll_mmaction import version

ROOT = Path(__file__).parents[1]
# As when this environment was made.
COMPILED = 'vll_mmaction.video_io._fast_resize'
CAN_COMPILE = importlib.util.find_spec(COMPILED) is not None


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
        (np, '1.25.2', 'numpy', '>=1.26'),
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
        (torch, '2.6.0a0+git123'),
        (np, '3.0.0'),
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


def test_broken_dependency_is_named(monkeypatch):
    """Not by a traceback from inside of MMEngine."""

    def fail(name):
        if name == 'mmengine':
            raise ModuleNotFoundError("No module named 'yaml'", name='yaml')
        if name == 'mmcv':
            raise ImportError('libGL.so.1: cannot open shared object file')
        return sys.modules[name]

    monkeypatch.setattr(importlib, 'import_module', fail)
    first, second = problems()
    assert first == (
        'vll_mmaction needs yaml, which is missing: pip install PyYAML'
    )
    assert second.endswith('apt-get install libgl1 libglib2.0-0')


@pytest.mark.parametrize('name', ['libxcb.so.1', 'libGL.so.1'])
def test_a_library_that_opencv_lacks_is_named(name):
    """Whatever package was imported, and whichever library it is."""
    said = f'{name}: cannot open shared object file: No such file or directory'
    opencv = ImportError(said, name='cv2', path='cv2/cv2.abi3.so')
    line = version.explain_import(opencv, 'mmcv-lite')
    assert line.startswith(f'OpenCV lacks a system library ({name}: ')
    assert line.endswith('apt-get install libgl1 libglib2.0-0')


def test_opencv_is_named_for_its_own_failure():
    error = ImportError('libxcb.so.1: file too short', name='cv2')
    line = version.explain_import(error, 'mmcv-lite')
    assert line.startswith('opencv-python opencv-contrib-python cannot be ')


def test_a_library_that_another_package_lacks_is_not_opencvs():
    said = 'libcudnn.so.9: cannot open shared object file'
    line = version.explain_import(ImportError(said, name='torch._C'), 'torch')
    assert line == (
        f'torch cannot be imported (ImportError: {said}): '
        'pip install --upgrade --force-reinstall torch'
    )


@pytest.mark.parametrize(
    'error, command',
    [
        (
            ImportError('numpy.core.multiarray failed to import'),
            'opencv-python opencv-contrib-python',
        ),
        (ValueError('numpy.dtype size changed'), 'torch'),
    ],
)
def test_binaries_that_do_not_fit_are_named(monkeypatch, error, command):
    def fail(name):
        if name == 'torch':
            raise error
        return sys.modules[name]

    monkeypatch.setattr(importlib, 'import_module', fail)
    (problem,) = problems()
    assert problem.endswith(
        f'{error}): pip install --upgrade --force-reinstall {command}'
    )


def test_torch_that_was_built_for_numpy_1_is_named(monkeypatch):
    monkeypatch.setattr(torch, '__version__', '2.2.2')
    monkeypatch.setattr(np, '__version__', '2.0.0')
    assert problems() == [
        'vll_mmaction needs torch>=2.3, but torch has no numpy 2: '
        'pip install "torch>=2.3"'
    ]
    monkeypatch.setattr(np, '__version__', '1.26.4')
    version.check_versions()


def fake_metadata(monkeypatch, installed):
    """Pretend that these distributions are installed, or are not (None)."""
    real = metadata.version

    def fake(name):
        found = installed[name] if name in installed else real(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, 'version', fake)


# Those of one module that are installed here, and that are not.
LITE = {'mmcv-lite': '2.1.0', 'mmcv': None, 'onedl-mmcv': None}
NO_LITE = dict.fromkeys(LITE)
ENGINE = {'mmengine': '0.10.7', 'onedl-mmengine': None}


def test_full_mmcv_is_not_told_to_install_the_lite_one(monkeypatch):
    fake_metadata(monkeypatch, dict(NO_LITE, mmcv='2.2.0'))
    monkeypatch.setattr(mmcv, '__version__', '2.2.0')
    (problem,) = problems()
    assert problem.endswith('pip install "mmcv>=2.0.0rc4,<2.2.0"')


def test_full_mmcv_of_the_fork_is_refused_as_by_mmaction(monkeypatch):
    fake_metadata(monkeypatch, {**NO_LITE, 'onedl-mmcv': '2.3.6'})
    monkeypatch.setattr(mmcv, '__version__', '2.3.6')
    assert problems() == [
        'MMAction2 refuses onedl-mmcv 2.3.6: pip uninstall -y onedl-mmcv; '
        'pip install "mmcv-lite>=2.0.0rc4,<2.2.0"'
    ]


def test_mmengine_of_the_fork_passes(monkeypatch):
    fake_metadata(monkeypatch, {'mmengine': None, 'onedl-mmengine': '0.10.12'})
    monkeypatch.setattr(mmengine, '__version__', '0.10.12')
    version.check_versions()


@pytest.mark.parametrize(
    'installed, keep',
    [
        ({**ENGINE, 'onedl-mmengine': '0.10.12'}, 'onedl-mmengine==0.10.12'),
        ({**LITE, 'mmcv': '2.0.1'}, 'mmcv==2.0.1'),
        ({**LITE, 'onedl-mmcv': '2.3.6'}, 'mmcv-lite==2.1.0'),
    ],
)
def test_two_packages_in_one_module_are_refused(monkeypatch, installed, keep):
    fake_metadata(monkeypatch, installed)
    names = [name for name, there in installed.items() if there]
    (problem,) = problems()
    assert f'{" and ".join(names)} are installed, both as' in problem
    assert problem.endswith(
        f'pip uninstall -y {" ".join(names)}; pip install --no-deps "{keep}"'
    )


def test_a_missing_module_is_told_in_a_line():
    with pytest.raises(ImportError) as found, version.explained():
        importlib.import_module('no_such_module.inside')
    assert str(found.value) == (
        'vll_mmaction needs no_such_module, which is missing: '
        'pip install no_such_module'
    )
    with pytest.raises(ModuleNotFoundError, match='vll_mmaction.nothing'):
        with version.explained():
            importlib.import_module('vll_mmaction.nothing')


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
    """What setup.py calls ``setup`` with, and its list of tools left out."""
    arguments = {}
    monkeypatch.setattr(setuptools, 'setup', arguments.update)
    monkeypatch.chdir(ROOT)
    setup = runpy.run_path('setup.py')
    return dict(arguments, developers_tools=setup['DEVELOPERS_TOOLS'])


def test_dependencies(setup_arguments):
    requirements = setup_arguments['install_requires']
    assert {'numpy>=1.26', 'torch>=2.1', 'mmaction2>=1.2.0,<1.3'} <= set(
        requirements
    )
    # pip would put mmcv-lite over a full mmcv, or take hours to build mmcv,
    # and mmengine over its fork.
    assert not [
        name for name in requirements if re.match('mmcv|mmengine', name)
    ]
    assert setup_arguments['extras_require']['lite'] == [
        'mmengine>=0.7.1,<1.0.0',
        'mmcv-lite>=2.0.0rc4,<2.2.0',
    ]
    # Nothing is taken away from an environment that works.
    bounded = [name for name in requirements if '<' in name]
    assert bounded == ['mmaction2>=1.2.0,<1.3']
    assert 'vll_mmaction.engine.hooks' in setup_arguments['packages']


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """The wheel that the sdist makes, unpacked."""
    folder = tmp_path_factory.mktemp('wheel')
    source = folder / 'source'
    source.mkdir()
    for name in ('configs', 'requirements', 'tools', 'vll_mmaction'):
        shutil.copytree(
            ROOT / name,
            source / name,
            ignore=shutil.ignore_patterns('__pycache__', '*.so'),
        )
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith('.'):
            shutil.copy(path, source)
    setup = sys.executable, '-W', 'ignore', 'setup.py', '-q'
    out = folder / 'out'
    subprocess.run(
        [*setup, 'sdist', '--dist-dir', out], check=True, cwd=source
    )
    (sdist,) = out.iterdir()
    shutil.unpack_archive(sdist, folder)
    subprocess.run(
        [*setup, 'bdist_wheel', '--dist-dir', out],
        check=True,
        cwd=folder / sdist.name[: -len('.tar.gz')],
    )
    (wheel,) = out.glob('*.whl')
    shutil.unpack_archive(wheel, folder / 'site', 'zip')
    return folder / 'site'


def test_wheel_of_sdist_is_complete(installed, setup_arguments):
    """Configs and users' tools are where mim looks for them, and no others."""
    package = installed / 'vll_mmaction'
    developers_tools = setup_arguments['developers_tools']
    for folder, packaged in [
        ('vll_mmaction', package),
        ('configs', package / '.mim/configs'),
        ('tools', package / '.mim/tools'),
    ]:
        files = {
            x.relative_to(ROOT / folder)
            for x in (ROOT / folder).rglob('*')
            if x.is_file()
            and not {*x.relative_to(ROOT).parts} & {*developers_tools}
            and x.suffix not in ('.c', '.so')
        }
        there = {
            x.relative_to(packaged)
            for x in packaged.rglob('*')
            if x.is_file() and '.mim' not in x.relative_to(packaged).parts
        }
        assert files
        assert files == {x for x in there if x.suffix != '.so'}
    if CAN_COMPILE:
        assert list(package.glob('video_io/_fast_resize.*.so'))
    assert list(installed.glob('vll_mmaction-*.dist-info/**/LICENSE'))
    index = yaml.safe_load((package / '.mim/model-index.yml').read_text())
    for path in index['Import']:
        assert (package / '.mim' / path).is_file()


@pytest.mark.parametrize('compiler', ['', 'false'])
def test_a_compiler_is_not_needed(compiler, tmp_path):
    """Without one the compiled part is left out, and the rest installed."""
    if not compiler and not CAN_COMPILE:
        pytest.skip('there is no C compiler, or no header of Python')
    for name in ('README.md', 'setup.py', 'vll_mmaction'):
        os.symlink(ROOT / name, tmp_path / name)
    subprocess.run(
        [sys.executable, '-W', 'ignore', 'setup.py', '-q', 'build_ext'],
        cwd=tmp_path,
        env=dict(os.environ, **(dict(CC=compiler) if compiler else {})),
        check=True,
    )
    built = list(tmp_path.glob('build/lib*/**/_fast_resize*'))
    assert len(built) == (not compiler)


def test_wheel_trains_and_tests_from_another_folder(installed, tmp_path):
    data = tmp_path / 'data/quickstart'
    for name in ('train', 'test'):
        lines = []
        for label in range(3):
            write_video(data / f'{name}/{label}.avi', 20, seed=label)
            lines.append(f'{name}/{label}.avi {label}\n')
        (data / f'{name}.txt').write_text(''.join(lines))
    mim = installed / 'vll_mmaction/.mim'
    config = mim / 'configs/quickstart/vll_c3d_finetune.py'
    options = [
        *('--work-dir', 'work', '--cfg-options'),
        'model.backbone.pretrained_convs=None',
        'train_cfg.max_epochs=1',
        'train_dataloader.batch_size=2',
    ]
    files = [['train.py', config], ['test.py', config, 'work/epoch_1.pth']]
    for tool, *args in files:
        run = subprocess.run(
            # As mim does.
            [sys.executable, mim / 'tools' / tool, *args, *options],
            cwd=tmp_path,
            env=dict(
                os.environ, PYTHONPATH=str(installed), OMP_NUM_THREADS='1'
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert run.returncode == 0, run.stdout[-3000:]
    assert 'acc/top1' in run.stdout
    results = tmp_path / 'work_dirs/vll_c3d_finetune/clip_results.npz'
    assert results.is_file()


@pytest.mark.parametrize('file', ['constraints.txt', 'constraints-numpy1.txt'])
def test_constraints_fit_the_requirements(setup_arguments, file):
    lines = (ROOT / 'requirements' / file).read_text().splitlines()
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


# The index of models


def metafiles():
    """All models and collections of the metafiles."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    files = [yaml.safe_load((ROOT / x).read_text()) for x in index['Import']]
    models = [model for file in files for model in file['Models']]
    return models, [x for file in files for x in file['Collections']]


# Small trials, and layers on features, which nobody would download.
OF_NO_MODEL = {
    '_base_',
    'fights',
    'hmdb51_features',
    'quickstart',
    'ucf101_features',
    'ut_interaction',
}


def test_every_config_is_in_the_index_once():
    models, collections = metafiles()
    configs = {
        str(path.relative_to(ROOT))
        for path in (ROOT / 'configs').rglob('*.py')
        if not OF_NO_MODEL & set(path.parts)
        and not path.name.startswith('features_')
    }
    assert sorted(x['Config'] for x in models) == sorted(configs)
    names = {x['Name'] for x in collections}
    assert len(names) == len(collections)
    for collection in collections:
        assert (ROOT / collection['README']).is_file()
    for model in models:
        assert model['Name'] == Path(model['Config']).stem
        assert model['In Collection'] in names
        # Until there are some: nothing here has been trained by us.
        assert not {'Weights', 'Results', 'Training Log'} & set(model)


def test_index_says_what_the_configs_say():
    for model in metafiles()[0]:
        config = Config.fromfile(ROOT / model['Config'])
        said = model['Metadata']
        assert said['Epochs'] == config.train_cfg.max_epochs
        data = said['Training Data'].lower().replace('-', '')
        dataset = config.train_dataloader.dataset
        assert Path(dataset.data_root).name == data
        started = bool(
            config.get('load_from')
            or config.model.backbone.get('pretrained_convs')
        )
        assert started == ('Pretrained' in said), model['Name']


# The house

WINGS = [
    {'version', 'compat', 'structures', 'video_io'},
    {'datasets', 'models'},
    {'evaluation'},
    {'apis', 'engine', 'visualization'},
]


def imports_of(path):
    """Wings that a file of the package imports from, by any spelling."""
    folder = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) + 1 - node.level] if node.level else ()
            name = '.'.join([*base, *filter(None, [node.module])])
            names = [f'{name}.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            top, *rest = name.split('.')
            if top == 'vll_mmaction' and rest:
                yield rest[0]


def test_imports_go_down():
    floors = {wing: n for n, wings in enumerate(WINGS) for wing in wings}
    package = ROOT / 'vll_mmaction'
    paths = [p for p in package.rglob('*.py') if p.parent != package]
    assert {p.relative_to(package).parts[0] for p in paths} <= set(floors)
    for path in paths:
        own = path.relative_to(package).parts[0]
        for wing in imports_of(path):
            assert wing == own or floors[wing] < floors[own], (path, wing)

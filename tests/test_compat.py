import glob
import importlib.util
import io
import logging
import os
import pickle
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import cv2
import mmaction
import numpy as np
import pytest
import torch
from mmaction.datasets.transforms import ColorJitter
from mmaction.registry import MODELS, TRANSFORMS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.logging import HistoryBuffer
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader, Runner, checkpoint
from mmengine.structures import BaseDataElement
from toy_run import ToyModel, toy_runner

from vll_mmaction import compat
from vll_mmaction.compat import packages, pytorch
from vll_mmaction.evaluation import load_clip_results
from vll_mmaction.version import metadata_version

DRN = 'mmaction.models.localizers.drn'


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """Files that a run with EMA, schedulers and save_best leaves."""
    folder = tmp_path_factory.mktemp('run')
    toy_runner(folder).train()
    return {
        name: folder / name for name in ('epoch_2.pth', 'best_acc_epoch_2.pth')
    }


# Python and its packages


def run_python(code, *options):
    """What a fresh Python prints."""
    run = subprocess.run(
        [sys.executable, '-W', 'ignore', *options, '-c', code],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


BLOCKED = """
import importlib.util, pkgutil, sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    names = {names}
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in self.names:
            raise ModuleNotFoundError(f'no {{name}}', name=name)

real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *args: (
    None if name.partition('.')[0] in Missing.names else real(name, *args))
for name in list(sys.modules):
    if name.partition('.')[0] in Missing.names:
        del sys.modules[name]
sys.meta_path.insert(0, Missing())
vars(pkgutil).pop('find_loader', None)
import vll_mmaction
"""


def test_python_of_tomorrow(tmp_path):
    """Without setuptools, distutils, find_loader and undeclared packages."""
    names = {'pkg_resources', 'setuptools', 'distutils', 'importlib_metadata'}
    code = (
        BLOCKED.format(names=names)
        + f"""
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner import Runner
from mmengine.utils.dl_utils import collect_env, mmcv_full_available
from mmaction.utils import collect_env as env_of_mmaction
from mmcv.utils.ext_loader import check_ops_exist
print(sorted(Missing.names & set(sys.modules)))
print(mmcv_full_available(), check_ops_exist())
assert 'GCC' in collect_env() and 'MMAction2' in env_of_mmaction()
path = {str(tmp_path / 'config.py')!r}
with open(path, 'w') as file:
    file.write("_base_ = 'mmaction::_base_/default_runtime.py'")
print(Config.fromfile(path).default_scope)
print(*vll_mmaction.compat.MENDED, sep='\\n')
"""
    )
    lines = run_python(code).splitlines()
    assert lines[:3] == ['[]', 'False False', 'mmaction']
    mended = '\n'.join(lines[3:])
    for name in ('distutils', 'importlib_metadata', 'mmcv'):
        assert name in mended, name
    # onedl-mmengine asks Python itself.
    asks = not metadata_version('onedl-mmengine')
    assert ('pkg_resources' in mended) == asks


@pytest.mark.parametrize(
    'package, found',
    [('mmaction2', True), ('mmcv', True), ('numpy', True), ('none', False)],
)
def test_packages_are_found(package, found):
    assert packages._is_installed(package) == found
    if not found:
        with pytest.raises(metadata.PackageNotFoundError):
            packages._get_installed_path(package)


def test_a_package_is_found_by_either_name():
    folder = str(Path(mmaction.__file__).parent)
    assert packages._get_installed_path('mmaction') == folder
    assert packages._get_installed_path('mmaction2') == folder


def test_own_ways_of_a_package_are_left_alone(monkeypatch):
    """onedl-mmengine asks nobody; and pkg_resources may be there."""
    utils = sys.modules['mmengine.utils.package_utils']
    monkeypatch.setattr(utils, 'is_installed', lambda package: True)
    assert not packages.find_packages()
    monkeypatch.undo()
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: True)
    assert not packages.find_packages()
    assert not packages.collect_env_without_distutils()


# numpy


@pytest.mark.parametrize('factor', [-0.5, -0.1, -0.003, 0, 0.1, 0.49])
def test_hue_turns_both_ways(factor):
    """As with numpy 1, whatever numpy this is."""
    image = np.random.default_rng(0).integers(0, 256, (9, 11, 3))
    image = image.astype(np.uint8)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    offset = int(factor * 255)
    hue = hsv[..., 0].astype(int) + offset
    # Forwards, uint8 overflows in MMAction2 before the remainder is taken.
    hsv[..., 0] = (hue if offset < 0 else hue % 256) % 180
    expected = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    turned = ColorJitter.adjust_hue(image.astype(np.float32), factor)
    assert turned.dtype == np.float32
    np.testing.assert_array_equal(turned, expected)


def test_color_jitter_of_a_config_runs():
    np.random.seed(0)
    jitter = TRANSFORMS.build(dict(type='ColorJitter', hue=0.5))
    imgs = [np.full((4, 4, 3), 9, np.uint8) for _ in range(8)]
    for _ in range(8):
        assert len(jitter(dict(imgs=imgs))['imgs']) == 8


# The localizer whose files are missing


def test_drn_says_why_it_cannot_be_used():
    with pytest.raises(ImportError, match='mmaction2#2714'):
        MODELS.build(dict(type='DRN'))


def test_drn_is_left_alone_where_its_files_are(monkeypatch, tmp_path):
    (tmp_path / 'models/localizers/drn').mkdir(parents=True)
    monkeypatch.setattr(mmaction, '__file__', str(tmp_path / '__init__.py'))
    monkeypatch.delitem(sys.modules, DRN)
    packages.provide_drn()
    assert DRN not in sys.modules


# Checkpoints

only_weights = pytest.mark.skipif(
    not compat.reads_weights_only(),
    reason='torch.load runs what a checkpoint says',
)


@only_weights
def test_own_checkpoints_load(checkpoints):
    last = torch.load(checkpoints['epoch_2.pth'], weights_only=True)
    assert {'ema_state_dict', 'param_schedulers', 'optimizer'} <= set(last)
    history = last['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.statistics('mean') > 0
    assert last['message_hub']['runtime_info']['best_score'] == 2
    best = torch.load(checkpoints['best_acc_epoch_2.pth'], weights_only=True)
    assert 'optimizer' not in best


@only_weights
@pytest.mark.parametrize('module', ['numpy.core', 'numpy._core'])
def test_both_numpy_spellings_load(checkpoints, module):
    original, rewritten = checkpoints['epoch_2.pth'], io.BytesIO()
    written = 'numpy.core' if np.__version__ < '2' else 'numpy._core'
    old, new = (f'c{x}.multiarray\n'.encode() for x in (written, module))
    with zipfile.ZipFile(original) as source:
        with zipfile.ZipFile(rewritten, 'w') as target:
            for name in source.namelist():
                content = source.read(name)
                if name.endswith('/data.pkl'):
                    assert old in content
                    content = content.replace(old, new)
                target.writestr(name, content)
    rewritten.seek(0)
    hub = torch.load(rewritten, weights_only=True)['message_hub']
    assert isinstance(hub['log_scalars']['train/loss'], HistoryBuffer)


class Call:
    """Pickles as ``function(*args)``."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call

    def __call__(self):
        """Lets the result of a call be called, as a pickle sees it."""


def crafted_exec(code):
    """A pickle that reaches exec from a method of HistoryBuffer."""
    names = Call(getattr, Call(getattr, HistoryBuffer, 'mean'), '__globals__')
    builtins = Call(Call(getattr, names, 'get'), '__builtins__')
    return Call(Call(Call(getattr, builtins, 'get'), 'exec'), code)


# Each writes the file when it is unpickled, but for the last two, which only
# reach for what could.
PAYLOADS = {
    'exec': lambda file: Call(exec, f'open({file!r}, "w")'),
    'exec by getattr': lambda file: crafted_exec(f'open({file!r}, "w")'),
    'eval': lambda file: Call(eval, f'open({file!r}, "w")'),
    'open': lambda file: Call(open, file, 'w'),
    'system': lambda file: Call(os.system, f'touch {file}'),
    'Popen': lambda file: Call(subprocess.call, ['touch', file]),
    'torch.save': lambda file: Call(torch.save, 1, file),
    'memmap': lambda file: Call(np.memmap, file, 'u1', 'w+', 0, (1,)),
    'FileHandler': lambda file: Call(logging.FileHandler, file),
    '__init__': lambda file: Call(getattr, HistoryBuffer, '__init__'),
    'tofile': lambda file: Call(getattr, np.ndarray, 'tofile'),
}


@only_weights
@pytest.mark.parametrize('in_zip', [True, False], ids=['zip', 'old format'])
@pytest.mark.parametrize('name', PAYLOADS)
def test_crafted_checkpoint_is_refused(tmp_path, name, in_zip):
    marker, path = tmp_path / 'marker', str(tmp_path / 'crafted.pth')
    torch.save(
        dict(state_dict=dict(), meta=PAYLOADS[name](str(marker))),
        path,
        _use_new_zipfile_serialization=in_zip,
    )
    # As scripts load it, and as --resume, load_from and test.py do.
    for load in (torch.load, CheckpointLoader.load_checkpoint):
        with pytest.raises(pickle.UnpicklingError):
            load(path)
    assert not marker.exists()


@pytest.mark.parametrize('name', list(PAYLOADS)[:-2])
def test_crafted_checkpoint_would_work(tmp_path, name):
    """Those above are not refused for being ill-formed."""
    marker = tmp_path / 'marker'
    pickle.loads(pickle.dumps(PAYLOADS[name](str(marker)), 2))
    assert marker.exists()


@pytest.mark.parametrize('name', PAYLOADS)
def test_crafted_clip_results_are_refused(tmp_path, name):
    marker, path = tmp_path / 'marker', str(tmp_path / 'results.npz')
    labels = np.empty(1, dtype=object)
    labels[0] = PAYLOADS[name](str(marker))
    np.savez(path, format='vll_mmaction clip results', labels=labels)
    with pytest.raises(ValueError, match='holds pickled data: not read'):
        load_clip_results(path)
    with open(path, 'wb') as file:
        pickle.dump(labels, file, 2)
    with pytest.raises(ValueError, match=r'no \.npz file'):
        load_clip_results(path)
    assert not marker.exists()


def test_no_source_runs_what_a_file_says():
    """No pickle is read, nothing is evaluated, no shell gets a name."""
    unsafe = re.compile(
        r'weights_only=False|allow_pickle=True|pickle\.loads?\(|shell=True|'
        r'os\.(system|popen)|(?<![.\w])(eval|exec)\('
    )
    root = Path(__file__).parents[1]
    sources = [*root.glob('vll_mmaction/**/*.py'), *root.glob('tools/**/*.py')]
    assert len(sources) > 40
    for source in sources:
        found = unsafe.search(source.read_text(encoding='utf-8'))
        assert not found, f'{source}: {found[0]}'


@only_weights
def test_stock_fails_without_the_plugin(checkpoints):
    """What is mended here is still broken there: else it could go."""
    code = f"""
import pickle, torch, mmengine.logging
try:
    torch.load({str(checkpoints['epoch_2.pth'])!r})
except pickle.UnpicklingError:
    print('checkpoint refused')
try:
    import mmaction.models
except ModuleNotFoundError as error:
    print(error.name, 'missing')
"""
    assert run_python(code) == f'checkpoint refused\n{DRN} missing\n'


@only_weights
def test_older_torch_is_left_alone(monkeypatch):
    monkeypatch.setattr(torch, '__version__', '2.5.1')
    monkeypatch.delattr(torch.serialization, 'add_safe_globals')
    assert not pytorch.allow_checkpoint_types()


def crafted_for_the_fork(tmp_path, monkeypatch, mended):
    """A crafted file, read as onedl-mmengine reads it: does it run?"""

    def load(file, map_location=None, weights_only=None):
        try:
            return torch.load(file, weights_only=True)
        except pickle.UnpicklingError:
            if weights_only is not None:
                raise
            return torch.load(file, weights_only=False)

    monkeypatch.setattr(checkpoint, '_safe_torch_load', load, raising=False)
    assert not mended or pytorch.refuse_unsafe_checkpoints()
    marker, path = tmp_path / 'marker', str(tmp_path / 'crafted.pth')
    torch.save(PAYLOADS['exec'](str(marker)), path)
    try:
        checkpoint._safe_torch_load(path, map_location='cpu')
    except pickle.UnpicklingError:
        assert not pytorch.refuse_unsafe_checkpoints()
    return marker.exists()


@only_weights
@pytest.mark.parametrize('mended', [False, True])
def test_fork_does_not_run_what_a_file_says(tmp_path, monkeypatch, mended):
    ran = crafted_for_the_fork(tmp_path, monkeypatch, mended)
    assert ran != mended


# Distributed training without CUDA


def test_launcher_and_ddp_without_cuda(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setenv('LOCAL_RANK', '0')
    set_device = torch.cuda.set_device
    init_dist(
        'pytorch',
        backend='gloo',
        init_method=f'file://{tmp_path}/init',
        rank=0,
        world_size=1,
    )
    try:
        model = MMDistributedDataParallel(
            module=ToyModel(), device_ids=[0], broadcast_buffers=False
        )
    finally:
        torch.distributed.destroy_process_group()
    assert model.device_ids is None
    assert not model.broadcast_buffers
    assert torch.cuda.set_device is set_device


def test_gloo_ends_before_python(monkeypatch, tmp_path):
    for name in ('RANK', 'LOCAL_RANK', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
        monkeypatch.setenv(name, '0' if 'RANK' in name else '1')
    at_exit = []
    monkeypatch.setattr(pytorch.atexit, 'register', at_exit.append)
    init_method = f'file://{tmp_path}/init'
    dist_cfg = dict(
        backend='gloo', init_method=init_method, rank=0, world_size=1
    )
    Runner(
        ToyModel(),
        work_dir=str(tmp_path),
        launcher='pytorch',
        env_cfg=dict(dist_cfg=dist_cfg),
    )
    assert torch.distributed.is_initialized()
    end = at_exit[at_exit.index(pytorch._end_gloo)]
    end()
    assert not torch.distributed.is_initialized()
    end()  # A user's script may have ended it.


def test_launcher_with_cuda_is_left_alone(monkeypatch):
    devices = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'set_device', devices.append)
    monkeypatch.setattr(torch.distributed, 'init_process_group', lambda **_: 0)
    monkeypatch.setenv('RANK', '5')
    monkeypatch.setenv('LOCAL_RANK', '1')
    init_dist('pytorch', backend='nccl')
    assert devices == [1]


def test_ddp_keeps_device_ids_of_a_model_elsewhere(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        torch.nn.parallel.DistributedDataParallel,
        '__init__',
        lambda self, module, **kwargs: seen.update(kwargs),
    )
    model = torch.nn.Linear(2, 2, device='meta')
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    monkeypatch.setattr(
        MMDistributedDataParallel, '__setattr__', object.__setattr__
    )
    MMDistributedDataParallel.__init__(wrapper, model, device_ids=[0])
    assert seen == dict(device_ids=[0])


# torch.compile


def test_compiled_step_takes_arrays_in_the_meta_info(monkeypatch):
    # Undone afterwards.
    monkeypatch.setattr(
        BaseDataElement, 'set_metainfo', BaseDataElement.set_metainfo
    )
    sample = BaseDataElement(
        metainfo=dict(frame_inds=np.arange(4)), label=torch.ones(1)
    )

    class Model:
        def train_step(self, data):
            return data.to('cpu').label * 2

    runner = SimpleNamespace(
        cfg=dict(compile=dict(backend='eager')),
        model=Model(),
        logger=logging.getLogger(),
    )
    Runner._maybe_compile(runner, 'train_step')
    assert runner.model.train_step(sample).tolist() == [2]


# All together


@only_weights
def test_applying_again_changes_nothing():
    def state():
        return (
            set(torch.serialization.get_safe_globals()),
            MMDistributedDataParallel.__init__,
            sys.modules['mmengine.dist.utils']._init_dist_pytorch,
            sys.modules[DRN],
            MODELS.get('DRN'),
        )

    before = state()
    compat.apply()
    assert state() == before


@pytest.mark.parametrize(
    'name, size, clip_len',
    [
        # The fully connected layers of C3D fix its input.
        ('c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb', 112, 16),
        ('slowonly/slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb', 32, 4),
    ],
)
def test_stock_configs_train(name, size, clip_len):
    root = mmaction.__path__[0]
    (path,) = glob.glob(f'{root}/.mim/configs/recognition/{name}.py')
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    config.model.backbone.pretrained = None
    model = MODELS.build(config.model)
    model.init_weights()
    shape = (1, 3, clip_len, size, size)
    data = dict(
        inputs=[torch.randint(0, 256, shape, dtype=torch.uint8)],
        data_samples=[ActionDataSample().set_gt_label(1)],
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = model.cls_head.fc_cls.weight.clone()
    losses = model.train_step(data, OptimWrapper(optimizer))
    assert torch.isfinite(losses['loss'])
    assert not torch.equal(model.cls_head.fc_cls.weight, before)
    model.eval()
    with torch.no_grad():
        (result,) = model.test_step(data)
    assert result.pred_score.sum() == pytest.approx(1, abs=1e-5)


def test_is_compiling_is_found_before_torch_2_3(monkeypatch):
    monkeypatch.delattr(torch.compiler, 'is_compiling')
    monkeypatch.setattr(torch._utils, 'is_compiling', lambda: 'asked')
    pytorch.provide_is_compiling()
    assert torch.compiler.is_compiling() == 'asked'


def test_no_workers_beside_persistent_workers():
    config = dict(
        dataset=dict(type='ToyDataset'),
        sampler=dict(type='DefaultSampler'),
        batch_size=2,
        persistent_workers=True,
    )
    for workers in (0, 1):
        loader = Runner.build_dataloader(dict(config, num_workers=workers))
        assert loader.num_workers == workers
        assert loader.persistent_workers == bool(workers)

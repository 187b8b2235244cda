"""What ``python -m vll_mmaction doctor`` says."""

import os
import resource
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from vll_mmaction import doctor
from vll_mmaction.version import REQUIRED, TWINS, metadata_version


def run(**env):
    command = [sys.executable, '-m', 'vll_mmaction', 'doctor']
    return subprocess.run(
        command, capture_output=True, text=True, env=dict(os.environ, **env)
    )


def test_this_environment_is_described():
    found = run()
    lines = found.stdout.splitlines()
    assert not found.stderr
    assert found.returncode == (lines[-1] != 'Nothing is wrong.')
    names = {line[: line.index('  ')] for line in lines if '  ' in line}
    assert names >= {
        *('Python', 'packages', 'cv2', 'mmengine', 'plugin', 'mended'),
        *('PyAV', 'OpenCV', 'compiled resize', 'file handles'),
    }
    assert f'torch {metadata_version("torch")}' in found.stdout
    assert 'can be imported' in found.stdout


@pytest.mark.parametrize(
    'package, said',
    [
        (
            'raise ModuleNotFoundError("No module named \'yaml\'", '
            'name="yaml")',
            '! vll_mmaction needs yaml, which is missing: pip install PyYAML',
        ),
        (
            '__version__ = "0.7.0"',
            '! vll_mmaction needs mmengine>=0.7.1,<1.0.0, but mmengine 0.7.0 '
            'is installed: pip install "mmengine>=0.7.1,<1.0.0"',
        ),
    ],
)
def test_it_works_where_the_plugin_does_not(tmp_path, package, said):
    if '0.7.0' in said and metadata_version('onedl-mmengine'):
        said = (
            '! MMAction2 refuses onedl-mmengine 0.7.0: pip uninstall -y '
            'onedl-mmengine; pip install "mmengine>=0.7.1,<1.0.0"'
        )
    (tmp_path / 'mmengine').mkdir()
    (tmp_path / 'mmengine/__init__.py').write_text(package)
    here = os.pathsep.join([str(tmp_path), os.getcwd()])
    found = run(PYTHONPATH=here)
    assert found.returncode == 1 and not found.stderr
    assert said in found.stdout.splitlines()
    assert 'cannot be imported' in found.stdout
    command = [sys.executable, '-c', 'import vll_mmaction']
    refused = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=here),
    )
    assert f'ImportError: {said[2:]}' in refused.stderr.splitlines()


def said_of(part):
    """Problems that a part of the diagnosis tells."""
    return [line for row in part() for line in row[2:]]


def test_different_versions_in_one_module_are_told(monkeypatch):
    there = {
        'opencv-python': '5.0.0.93',
        'opencv-contrib-python': '5.1.0.95',
        'decord': '0.6.0',
        'decord2': '3.4.0',
    }
    monkeypatch.setattr(
        doctor, 'metadata_version', lambda name: there.get(name, '')
    )
    opencv, decord = said_of(doctor._shared_modules)
    assert opencv.endswith(
        'pip uninstall -y opencv-python opencv-contrib-python; pip install '
        '--no-deps "opencv-python==5.0.0.93" "opencv-contrib-python==5.0.0.93"'
    )
    assert decord.endswith(
        'pip uninstall -y decord decord2; pip install --no-deps decord'
    )
    there['opencv-contrib-python'] = '5.0.0.93'
    del there['decord2']
    assert said_of(doctor._shared_modules) == []


def test_shared_modules_are_those_of_the_check():
    for ours, others in TWINS.items():
        module = REQUIRED[ours][1]
        assert set(doctor.SHARED_MODULES[module]) == {ours, *others}


def test_small_shared_memory_and_few_handles_are_told(monkeypatch):
    monkeypatch.setattr(os.path, 'isdir', lambda path: True)
    monkeypatch.setattr(
        shutil, 'disk_usage', lambda path: SimpleNamespace(free=64 << 20)
    )
    monkeypatch.setattr(resource, 'getrlimit', lambda which: (256, 4096))
    memory, handles = said_of(doctor._limits)
    assert 'docker run --shm-size' in memory and '0.1 GiB' in memory
    assert handles == '256 file handles are few: ulimit -n 4096'


def test_a_gpu_that_pytorch_does_not_see_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.version, 'cuda', None)
    monkeypatch.setattr(shutil, 'which', lambda name: '/usr/bin/nvidia-smi')
    (problem,) = said_of(doctor._gpus)
    assert 'PyTorch is built without CUDA' in problem
    assert 'choose the build at pytorch.org' in problem


def test_gpus_are_listed(monkeypatch):
    gpu = SimpleNamespace(
        name='A GPU', total_memory=80 << 30, major=9, minor=0
    )
    for name, value in dict(
        is_available=True, device_count=1, get_device_properties=gpu
    ).items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    _, row = doctor._gpus()
    assert row == ('GPU 0', 'A GPU, 80 GiB, capability 9.0')


def test_a_part_that_fails_does_not_end_the_rest(monkeypatch):
    def _compiled():
        raise OSError('broken')

    monkeypatch.setattr(doctor, '_compiled', _compiled)
    lines = []
    assert doctor.main(lines.append) == 1
    assert '! compiled not found out (OSError: broken)' in lines
    assert any(line.startswith('file handles') for line in lines)

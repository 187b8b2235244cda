import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.fileio import (
    BaseStorageBackend,
    LocalBackend,
    register_backend,
)
from toy_run import toy_config, toy_runner

import vll_mmaction.engine.hooks.atomic_checkpoint_hook as hook_module


def checkpoint_files(folder):
    """Files that a run left, but for logs and config."""
    return {
        path.name
        for path in Path(folder).iterdir()
        if not path.is_dir() and path.suffix != '.py'
    }


def pointed_epoch(folder):
    """Epoch of the checkpoint that ``last_checkpoint`` names."""
    path = (Path(folder) / 'last_checkpoint').read_text()
    return torch.load(path)['meta']['epoch']


def fail_at(monkeypatch, name):
    """Break off the writing of this file in the middle."""
    put = LocalBackend.put

    def half_put(self, obj, filepath):
        if not Path(filepath).name.startswith(name):
            return put(self, obj, filepath)
        put(self, obj[: len(obj) // 2], filepath)
        raise OSError('No space left on device')

    monkeypatch.setattr(LocalBackend, 'put', half_put)


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(max_keep_ckpts=2, save_best=['acc', 'loss']),
        dict(by_epoch=False, interval=3, save_best='auto'),
    ],
)
def test_leaves_the_files_that_stock_leaves(tmp_path, options, monkeypatch):
    from toy_run import ToyMetric

    compute = ToyMetric.compute_metrics
    monkeypatch.setattr(
        ToyMetric,
        'compute_metrics',
        lambda *args: dict(compute(*args), loss=0.5),
    )
    left = []
    for kind in ('CheckpointHook', 'AtomicCheckpointHook'):
        options = dict(options, type=kind)
        toy_runner(tmp_path / kind, 3, options).train()
        left.append(checkpoint_files(tmp_path / kind))
    assert left[0] == left[1]
    assert not list(tmp_path.rglob('*tmp*'))


@pytest.mark.parametrize('name', ['epoch_2.pth', 'best_acc_epoch_2.pth'])
def test_failure_while_writing_leaves_the_previous(
    tmp_path, monkeypatch, name
):
    fail_at(monkeypatch, name)
    with pytest.raises(OSError, match='No space left'):
        toy_runner(tmp_path, max_epochs=3).train()
    left = checkpoint_files(tmp_path)
    # Also no half-written file that takes the space.
    assert name not in left and f'{name}.tmp' not in left
    previous = 1 if name == 'epoch_2.pth' else 2
    assert pointed_epoch(tmp_path) == previous
    torch.load(tmp_path / 'best_acc_epoch_1.pth')

    monkeypatch.undo()
    runner = toy_runner(tmp_path, max_epochs=3, resume=True)
    runner.train()
    assert pointed_epoch(tmp_path) == 3


def test_outdated_goes_only_after_last_checkpoint_is_moved(
    tmp_path, monkeypatch
):
    replace = hook_module._replace

    def fail_at_second_epoch(source, target):
        if Path(target).name == 'last_checkpoint':
            if (tmp_path / 'epoch_2.pth').exists():
                raise OSError('No space left on device')
        replace(source, target)

    monkeypatch.setattr(hook_module, '_replace', fail_at_second_epoch)
    with pytest.raises(OSError, match='No space left'):
        toy_runner(tmp_path).train()
    assert {'epoch_1.pth', 'epoch_2.pth'} <= checkpoint_files(tmp_path)
    assert pointed_epoch(tmp_path) == 1


def test_killed_while_writing_leaves_the_previous(tmp_path):
    config = toy_config(tmp_path, max_epochs=3)
    code = f"""
import os
import vll_mmaction, toy_run
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.runner import Runner

put = LocalBackend.put
def half_put(self, obj, filepath):
    if 'epoch_2' in str(filepath):
        put(self, obj[:len(obj) // 2], filepath)
        os._exit(9)
    put(self, obj, filepath)
LocalBackend.put = half_put
Runner.from_cfg(Config({config!r})).train()
"""
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1]))
    run = subprocess.run([sys.executable, '-c', code], env=environment)
    assert run.returncode == 9
    assert pointed_epoch(tmp_path) == 1

    # What was cut off is written again and leaves no trace.
    assert (tmp_path / 'epoch_2.pth.tmp').exists()
    toy_runner(tmp_path, max_epochs=3, resume=True).train()
    assert pointed_epoch(tmp_path) == 3
    assert not list(tmp_path.glob('*.tmp'))


def test_what_was_to_be_removed_is_removed_after_a_resume(
    tmp_path, monkeypatch
):
    remove = hook_module.AtomicLocalBackend.remove

    def stop(self, filepath):
        raise KeyboardInterrupt

    monkeypatch.setattr(hook_module.AtomicLocalBackend, 'remove', stop)
    with pytest.raises(KeyboardInterrupt):
        toy_runner(tmp_path).train()
    assert {'epoch_1.pth', 'epoch_2.pth'} <= checkpoint_files(tmp_path)

    monkeypatch.setattr(hook_module.AtomicLocalBackend, 'remove', remove)
    toy_runner(tmp_path, resume=True).train()
    left = {name for name in checkpoint_files(tmp_path) if 'epoch' in name}
    assert {name for name in left if 'best' not in name} == {'epoch_2.pth'}


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


class TestResume:
    """``--resume`` where ``last_checkpoint`` names no whole file."""

    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / 'run'
        toy_runner(folder, checkpoint=dict(max_keep_ckpts=-1)).train()
        return folder

    def resumed_from(self, folder):
        runner = toy_runner(folder, resume=True)
        runner.call_hook('before_run')
        path = runner._load_from or (folder / 'last_checkpoint').read_text()
        return Path(path)

    @pytest.mark.parametrize(
        'spoil, epoch',
        [
            (lambda last, pointer: None, 2),
            (lambda last, pointer: last.unlink(), 1),
            (lambda last, pointer: cut_off(last), 1),
            (lambda last, pointer: pointer.unlink(), 2),
            (lambda last, pointer: pointer.write_text(''), 2),
        ],
        ids=['whole', 'missing', 'cut off', 'no pointer', 'empty pointer'],
    )
    def test_newest_whole_one(self, folder, spoil, epoch):
        spoil(folder / 'epoch_2.pth', folder / 'last_checkpoint')
        assert self.resumed_from(folder) == folder / f'epoch_{epoch}.pth'

    def test_nothing_there(self, tmp_path):
        runner = toy_runner(tmp_path, resume=True)
        runner.call_hook('before_run')
        assert runner._load_from is None

    def test_folder_moved(self, folder):
        moved = folder.rename(folder.parent / 'moved')
        os.utime(moved / 'epoch_1.pth')
        assert self.resumed_from(moved) == moved / 'epoch_2.pth'

    def test_remote_is_left_to_stock(self, folder):
        (folder / 'last_checkpoint').write_text('s3://bucket/epoch_2.pth')
        runner = toy_runner(folder, resume=True)
        runner.call_hook('before_run')
        assert runner._load_from is None

    def test_given_path_is_left_alone(self, folder):
        runner = toy_runner(folder, resume=True, load_from='other.pth')
        runner.call_hook('before_run')
        assert runner._load_from == 'other.pth'


@register_backend('toy_remote', force=True)
class ToyRemote(BaseStorageBackend):
    """A store that is no file system."""

    files = {}

    def get(self, filepath):
        return self.files[filepath]

    def get_text(self, filepath):
        return self.get(filepath).decode()

    def put(self, obj, filepath):
        self.files[filepath] = obj

    def join_path(self, *parts):
        return '/'.join(parts)

    def isfile(self, filepath):
        return filepath in self.files

    def remove(self, filepath):
        del self.files[filepath]


def test_other_backends_are_left_to_stock(tmp_path):
    options = dict(backend_args=dict(backend='toy_remote'))
    toy_runner(tmp_path, checkpoint=options).train()
    names = {name.rpartition('/')[2] for name in ToyRemote.files}
    assert names == {'epoch_2.pth', 'best_acc_epoch_2.pth'}
    last = (tmp_path / 'last_checkpoint').read_text()
    assert last.endswith('epoch_2.pth') and last in ToyRemote.files

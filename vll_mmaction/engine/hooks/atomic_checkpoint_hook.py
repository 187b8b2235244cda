"""Checkpoints that survive a crash in the middle of being saved."""

import os
import re
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from mmaction.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import find_latest_checkpoint


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """``CheckpointHook`` that always leaves a whole checkpoint behind.

    Stock deletes the outdated checkpoint first and then writes the new one
    in place. Here a checkpoint, also a best one, is written to a temporary
    file and renamed; then ``last_checkpoint`` is replaced; then the outdated
    one is deleted. It takes the arguments of ``CheckpointHook`` and names
    the files alike. Checkpoints that are not local files are saved as stock
    saves them.

    A run that resumes by itself (``--resume`` without a path) while
    ``last_checkpoint`` names a file that is missing or cut off, goes on from
    the newest whole checkpoint.
    """

    def before_run(self, runner) -> None:
        """See that there is a whole checkpoint to resume from.

        Args:
            runner (Runner): The runner of the training process.
        """
        if not runner._resume or runner._load_from is not None:
            return
        last = find_latest_checkpoint(runner.work_dir)
        if last is None or zipfile.is_zipfile(last):
            return
        if '://' in last or os.path.isdir(last):
            return  # remote, or a checkpoint that is a folder
        whole = self._newest_whole_checkpoint(runner.work_dir, last)
        if whole is not None:
            runner.logger.warning(
                f'The last checkpoint {last!r} is missing or not whole. '
                f'Resuming from {whole}.'
            )
            runner._load_from = whole

    def _newest_whole_checkpoint(
        self, work_dir: str, last: str
    ) -> Optional[str]:
        """The checkpoint of that name here (the folder may have been moved),
        else the newest one by time."""
        # Not best or published checkpoints: they lack the optimizer.
        name = re.escape(self.filename_tmpl).replace(r'\{\}', r'\d+')
        folders = {Path(work_dir), Path(last).parent}
        found = [
            path
            for folder in folders
            if folder.is_dir()
            for path in folder.iterdir()
            if re.fullmatch(name, path.name) and zipfile.is_zipfile(path)
        ]
        if not found:
            return None
        return str(
            max(
                found,
                key=lambda path: (
                    path.name == Path(last).name,
                    path.stat().st_mtime_ns,
                ),
            )
        )

    def before_train(self, runner) -> None:
        """Choose how to save.

        Args:
            runner (Runner): The runner of the training process.
        """
        backend = get_file_backend(
            self.out_dir or runner.work_dir, backend_args=self.backend_args
        )
        self._is_local = self.file_client_args is None and isinstance(
            backend, LocalBackend
        )
        if self._is_local:
            self.backend_args = dict(backend='atomic_local')
        super().before_train(runner)

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        if not self._is_local or not is_main_process():
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        # Stock writes `last_checkpoint` in place, into the work_dir.
        temporary = Path(runner.work_dir, '.last_checkpoint.tmp')
        temporary.mkdir(exist_ok=True)
        with self._removal_put_off():
            super()._save_checkpoint_with_step(
                _RunnerWithWorkDir(runner, str(temporary)), step, meta
            )
            _replace(
                temporary / 'last_checkpoint',
                Path(runner.work_dir, 'last_checkpoint'),
            )
        temporary.rmdir()

    def _save_best_checkpoint(self, runner, metrics) -> None:
        # Until the checkpoint that names the new best one is saved as well.
        with self._removal_put_off():
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removal_put_off(self):
        """Remove what stock removes at the end, if the end is reached."""
        backend = self.file_backend
        if not self._is_local:
            yield
            return
        self.file_backend = _PutOffRemoval(backend)
        try:
            yield
            outdated = self.file_backend.paths
        finally:
            self.file_backend = backend
        # Stock removes a file before it writes one of the same name.
        current = {self.last_ckpt, getattr(self, 'best_ckpt_path', None)}
        current.update(getattr(self, 'best_ckpt_path_dict', {}).values())
        for path in outdated:
            if path in current:
                continue
            if backend.isdir(path):
                backend.rmtree(path)
            else:
                backend.remove(path)


@register_backend('atomic_local', force=True)
class AtomicLocalBackend(LocalBackend):
    """Local files that are written as a whole or not at all."""

    def put(self, obj: bytes, filepath) -> None:
        """Write bytes to a temporary file beside ``filepath``; rename it.

        Args:
            obj (bytes): Data to write.
            filepath (str | Path): Where to.
        """
        temporary = Path(f'{filepath}.tmp')
        try:
            super().put(obj, temporary)
            _replace(temporary, filepath)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


class _PutOffRemoval:
    """A file backend that only notes what it is told to remove."""

    def __init__(self, backend):
        self._backend = backend
        self.paths: list[str] = []

    def remove(self, path: str) -> None:
        self.paths.append(path)

    rmtree = remove

    def __getattr__(self, name: str):
        return getattr(self._backend, name)


class _RunnerWithWorkDir:
    """A runner, but for its ``work_dir``."""

    def __init__(self, runner, work_dir: str):
        self._runner = runner
        self.work_dir = work_dir

    def __getattr__(self, name: str):
        return getattr(self._runner, name)


def _replace(source, target) -> None:
    """Rename a file that is surely on the disk."""
    # Else a power cut could leave the new name without its content.
    with open(source, 'rb+') as file:
        os.fsync(file.fileno())
    os.replace(source, target)

"""Checkpoints that survive a crash in the middle of being saved."""

import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional, Union

from mmaction.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmengine.runner import Runner, find_latest_checkpoint

# In the message hub: what is to be removed after the next checkpoint.
OUTDATED = 'outdated_ckpts'


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
    ``last_checkpoint`` is missing, or names a file that is missing or cut
    off, goes on from the newest whole checkpoint. What the stopped run was
    about to delete is deleted then.
    """

    # Of the base class, whose types are not known.
    backend_args: Optional[dict]
    file_backend: Any

    def before_run(self, runner: Runner) -> None:
        """See that there is a whole checkpoint to resume from."""
        if not runner._resume or runner._load_from is not None:
            return
        last = find_latest_checkpoint(runner.work_dir) or ''
        if zipfile.is_zipfile(last):
            return
        if '://' in last or (last and os.path.isdir(last)):
            return  # remote, or a checkpoint that is a folder
        whole = self._newest_whole_checkpoint(runner.work_dir, last)
        if whole is not None:
            runner.logger.warning(
                f'The last checkpoint {last!r} is missing or not whole. '
                f'Resuming from {whole}.'
            )
            runner._load_from = str(whole)

    def _newest_whole_checkpoint(
        self, work_dir: str, last: str
    ) -> Optional[Path]:
        """The checkpoint of that name here (the folder may have been moved),
        else the newest one by time."""
        # Not best or published checkpoints: they lack the optimizer.
        name = re.escape(self.filename_tmpl).replace(r'\{\}', r'\d+')
        folders = {Path(work_dir)}
        if last:
            folders.add(Path(last).parent)
        if self.out_dir:
            folders.add(Path(self.out_dir, Path(work_dir).name))
        found = [
            path
            for folder in folders
            if folder.is_dir()
            for path in folder.iterdir()
            if re.fullmatch(name, path.name) and zipfile.is_zipfile(path)
        ]

        def rank(path: Path) -> tuple[bool, int]:
            return path.name == Path(last).name, path.stat().st_mtime_ns

        return max(found, key=rank, default=None)

    def before_train(self, runner: Runner) -> None:
        """Choose how to save."""
        backend = get_file_backend(
            self.out_dir or runner.work_dir, backend_args=self.backend_args
        )
        self._is_local = self.file_client_args is None and isinstance(
            backend, LocalBackend
        )
        if self._is_local:
            self.backend_args = dict(backend='atomic_local')
        super().before_train(runner)
        if self._is_local and runner.iter:
            self._catch_up(runner)

    def _catch_up(self, runner: Runner) -> None:
        """Be where the run that wrote the checkpoint was after that."""
        info = runner.message_hub.runtime_info
        last = self._here(info.get('last_ckpt', ''))
        if last.is_file():
            self.last_ckpt = str(last)
        outdated = [str(self._here(path)) for path in info.get(OUTDATED, ())]
        if is_main_process():
            self._remove(filter(os.path.exists, outdated))

    def _here(self, path: str) -> Path:
        # The folder may have been moved or copied.
        return Path(self.out_dir, Path(path).name)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict
    ) -> None:
        if not self._is_local or not is_main_process():
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        # Stock writes `last_checkpoint` in place, into the work_dir.
        temporary = Path(runner.work_dir, '.last_checkpoint.tmp')
        temporary.mkdir(exist_ok=True)
        with self._removal_put_off(runner.message_hub):
            super()._save_checkpoint_with_step(
                _Like(runner, work_dir=str(temporary)), step, meta
            )
            _replace(
                temporary / 'last_checkpoint',
                Path(runner.work_dir, 'last_checkpoint'),
            )
        temporary.rmdir()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        # Until the checkpoint that names the new best one is saved as well.
        with self._removal_put_off(runner.message_hub):
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removal_put_off(self, hub: MessageHub) -> Iterator[None]:
        """Remove what stock removes at the end, if the end is reached."""
        backend = self.file_backend
        if not self._is_local:
            yield
            return
        self.file_backend = _PutOffRemoval(backend, hub)
        try:
            yield
            outdated = self.file_backend.paths
        finally:
            self.file_backend = backend
        self._remove(outdated)
        if not isinstance(backend, _PutOffRemoval):
            hub.update_info(OUTDATED, [])

    def _remove(self, paths: Iterable[str]) -> None:
        # Stock removes a file before it writes one of the same name.
        current = {self.last_ckpt, getattr(self, 'best_ckpt_path', None)}
        current.update(getattr(self, 'best_ckpt_path_dict', {}).values())
        for path in paths:
            if path in current:
                continue
            if self.file_backend.isdir(path):
                self.file_backend.rmtree(path)
            else:
                self.file_backend.remove(path)


@register_backend('atomic_local', force=True)
class AtomicLocalBackend(LocalBackend):
    """Local files that are written as a whole or not at all."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
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


class _Like:
    """Another object, but for what it is given here."""

    def __init__(self, original: Any, **own: Any) -> None:
        self._original = original
        vars(self).update(own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class _PutOffRemoval(_Like):
    """A file backend that only notes what it is told to remove.

    Also in the message hub, and so in the checkpoint that comes next: a run
    that is killed before the end leaves it to the one that resumes.
    """

    def __init__(self, backend: Any, hub: MessageHub) -> None:
        super().__init__(backend)
        self._hub = hub
        self.paths: list[str] = []

    def remove(self, path: str) -> None:
        self.paths.append(path)
        noted = self._hub.runtime_info.get(OUTDATED, [])
        self._hub.update_info(OUTDATED, sorted({*noted, path}))

    rmtree = remove


def _replace(source: Union[str, Path], target: Union[str, Path]) -> None:
    """Rename a file that is surely on the disk."""
    # Else a power cut could leave the new name without its content.
    with open(source, 'rb+') as file:
        os.fsync(file.fileno())
    os.replace(source, target)

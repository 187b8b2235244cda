"""The state of a run: a file ``run.json`` in its folder, replaced at once."""

import json
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

from vll_mmaction.version import metadata_version

from .configs import ROOT, ExperimentError
from .plans import Run

FORMAT = 2
"""Of run.json. Raise it when its meaning changes."""

STATE = 'run.json'
PACKAGES = ('vll_mmaction', 'mmaction2', 'mmengine', 'torch', 'numpy')


def read_state(folder: Path) -> dict:
    """Content of a run's run.json, empty if it was never begun.

    Raises:
        ExperimentError: The file is of another version, or damaged.
    """
    path = folder / STATE
    if not path.is_file():
        return {}
    try:
        state = json.loads(path.read_text())
        version = state['format']
    except (ValueError, KeyError, TypeError) as error:
        raise ExperimentError(
            f'{path} is not the state of a run ({error!r}). Move '
            f'{folder} away to run it anew.'
        ) from None
    if version != FORMAT:
        raise ExperimentError(
            f'{path} has format {version}, this version writes {FORMAT}. '
            f'Name another folder by --out, or move {folder} away.'
        )
    return state


def check_state(run: Run, state: dict) -> None:
    """Refuse the state of another run than this one.

    Raises:
        ExperimentError: It was made with another config.
    """
    if state and state['fingerprint'] != run.fingerprint:
        raise ExperimentError(
            f'{run.folder} was made with another version of '
            f'{run.config.name} (or of the config of its start). Name '
            'another folder by --out, or move this one away.'
        )


def write_state(folder: Path, state: dict) -> None:
    write_whole(folder / STATE, json.dumps(state, indent=2) + '\n')


def write_whole(path: Path, text: str) -> None:
    """Write a file, which nobody sees half of."""
    temporary = path.with_name(f'{path.name}.tmp')
    with open(temporary, 'w', newline='') as file:
        file.write(text)
    os.replace(temporary, path)


def _git(*words: str) -> str:
    try:
        return subprocess.run(
            ['git', '-C', str(ROOT), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ''


@cache
def _commit() -> str:
    """The commit, with a plus where files differ from it, or ''."""
    commit = _git('rev-parse', '--short=12', 'HEAD')
    changed = commit and _git('status', '--porcelain', '-uno')
    return f'{commit}+' if changed else commit


@cache
def _versions() -> dict:
    import torch

    versions = {'python': platform.python_version(), 'device': 'CPU'}
    versions.update((name, metadata_version(name)) for name in PACKAGES)
    if torch.cuda.is_available():
        versions['device'] = torch.cuda.get_device_name()
    return versions


def new_state(run: Run, processes: int) -> dict:
    return dict(
        format=FORMAT,
        config=run.config_name,
        seed=run.seed,
        fold=run.fold if run.fold_name else None,
        fingerprint=run.fingerprint,
        gpus=processes,
        options=run.options(processes),
        commit=_commit(),
        versions=_versions(),
        status='training',
        seconds=dict(train=0, test=0),
        interruptions=0,
        accuracies={},
    )

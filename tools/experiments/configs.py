"""What configs say: of data, of starts, of what decides on a result."""

import os
from functools import cache
from pathlib import Path
from typing import Optional

from mmengine.config import Config

import vll_mmaction  # noqa: F401  (before mmaction is imported)

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'

STARTS = {
    'pretrained_convs': 'model.backbone.pretrained_convs',
    'load_from': 'load_from',
}
"""Where a config may name the model that it starts from."""

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')

# What decides on a result. Workers, caches, hooks and logs do not.
DECIDING = (
    'model',
    'train_dataloader',
    'test_dataloader',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
)
NOT_DECIDING = ('num_workers', 'persistent_workers', 'cache', *STARTS)


class ExperimentError(RuntimeError):
    """A run can't be made or read, for a reason that the user can mend."""


def find_config(name: str) -> Path:
    """A config by its path, or by its name in ``configs``.

    Raises:
        ExperimentError: There is none.
    """
    for path in (Path(name), CONFIGS / name):
        if path.is_file():
            return path.resolve()
    raise ExperimentError(f'there is no config {name}')


def deciding(value):
    """A config's value without the keys that do not decide on a result."""
    if isinstance(value, dict):
        return {
            k: deciding(v) for k, v in value.items() if k not in NOT_DECIDING
        }
    if isinstance(value, (list, tuple)):
        return [deciding(item) for item in value]
    return value


def strings(value, *names: str, path: str = ''):
    """Keys, dotted, and values of all strings of these names in a config."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        where = f'{path}.{key}'
        if key in names and isinstance(inner, str):
            yield where, inner
        elif isinstance(inner, (dict, list, tuple)):
            yield from strings(inner, *names, path=where)


@cache
def read_config(path: Path) -> Config:
    return Config.fromfile(path)


def gpus_of(config: Path) -> int:
    """GPUs that a config is written for: what ``auto_scale_lr`` says, or 1."""
    cfg = read_config(config)
    base = cfg.get('auto_scale_lr', {}).get('base_batch_size', 0)
    gpus, rest = divmod(base, cfg.train_dataloader.batch_size)
    return 1 if rest else max(1, gpus)


def paths_of(loader: Optional[dict], *names: str) -> list:
    """Files that a data loader's config names, with their data_root."""
    roots = dict(strings(loader or {}, 'data_root'))
    return [
        os.path.join(
            roots.get(f'{key.rpartition(".")[0]}.data_root', ''), value
        )
        for key, value in strings(loader or {}, *names)
    ]


def videos_of(loader: Optional[dict]) -> set:
    """Videos that a data loader's lists name, as far as the lists exist."""
    found = set()
    for path in filter(os.path.isfile, paths_of(loader, 'ann_file')):
        lines = Path(path).read_text().splitlines()
        found |= {line.rsplit(maxsplit=1)[0] for line in lines if line.strip()}
    return found

"""From (config, seed, split) to what has to be run, and where."""

import copy
import hashlib
import json
import os
import re
import zipfile
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Optional

from mmengine.config import Config

import vll_mmaction  # noqa: F401  (before mmaction is imported)

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
SPLIT = r'split_\d'
"""In the names of annotation files, which are MMAction2's."""

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')

# What decides on a result. Workers, hooks and logs do not.
DECIDING = (
    'model',
    'train_dataloader',
    'test_dataloader',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'load_from',
)
NOT_DECIDING = ('num_workers', 'persistent_workers', 'pretrained_convs')


class ExperimentError(RuntimeError):
    """A run can't be made or read, for a reason that the user can mend."""


def find_config(name: str) -> Path:
    """A config by its path, or by its name in ``configs``.

    Args:
        name (str): As on the command line or in a table.

    Returns:
        Path: The file.

    Raises:
        ExperimentError: There is none.
    """
    for path in (Path(name), CONFIGS / name):
        if path.is_file():
            return path.resolve()
    raise ExperimentError(f'there is no config {name}')


def _deciding(value):
    """A config's value without the keys that do not decide on a result."""
    if isinstance(value, dict):
        return {
            k: _deciding(v) for k, v in value.items() if k not in NOT_DECIDING
        }
    if isinstance(value, (list, tuple)):
        return [_deciding(item) for item in value]
    return value


@cache
def _read_config(path: Path) -> Config:
    return Config.fromfile(path)


def gpus_of(config: Path) -> int:
    """GPUs that a config is written for, as its learning rate is.

    Args:
        config (Path): Config file.

    Returns:
        int: What ``auto_scale_lr`` says, or 1.
    """
    cfg = _read_config(config)
    base = cfg.get('auto_scale_lr', {}).get('base_batch_size', 0)
    gpus, rest = divmod(base, cfg.train_dataloader.batch_size)
    return 1 if rest else max(1, gpus)


@dataclass(frozen=True)
class Run:
    """One training and its test.

    Args:
        config (Path): Config file.
        seed (int): Seed of training.
        split (int): 1, 2 or 3. Data without splits have 1 only.
        out (Path): Folder of all runs.
        gpus (int): Processes that the config is written for.
        data_root (str): Folder of the data, in place of the config's. ``''``
            is the config's.
        changes (tuple[tuple[str, object]]): Keys and values in place of the
            config's.
    """

    config: Path
    seed: int
    split: int
    out: Path
    gpus: int = 2
    data_root: str = ''
    changes: tuple = ()

    @cached_property
    def cfg(self) -> Config:
        """The config, with its changes and the lists of the split."""
        cfg = copy.deepcopy(_read_config(self.config))
        cfg.merge_from_dict({**self.data_options(cfg), **dict(self.changes)})
        return cfg

    def data_options(self, cfg: Optional[Config] = None) -> dict:
        """Options that choose the data and their split.

        Args:
            cfg (Config, optional): The config, of any split.

        Returns:
            dict[str, str]: Keys and values of ``--cfg-options``.
        """
        cfg = cfg or self.cfg
        options = {}
        for loader in LOADERS:
            name = cfg[loader].dataset.ann_file
            if re.search(SPLIT, name):
                chosen = re.sub(SPLIT, f'split_{self.split}', name)
                options[f'{loader}.dataset.ann_file'] = chosen
            if self.data_root:
                options[f'{loader}.dataset.data_root'] = self.data_root
        return options

    @property
    def has_splits(self) -> bool:
        """Whether the data of the config come in splits."""
        name = self.cfg.train_dataloader.dataset.ann_file
        return re.search(SPLIT, name) is not None

    @property
    def config_name(self) -> str:
        """The config in ``configs``, or ``other/`` and its file name."""
        if self.config.is_relative_to(CONFIGS):
            return str(self.config.relative_to(CONFIGS))
        return f'other/{self.config.name}'

    @property
    def name(self) -> str:
        """Config, changes, split and seed, as in the folder."""
        split = f'split{self.split}_' if self.has_splits else ''
        config = self.config_name.removesuffix('.py')
        for key, value in self.changes:
            config += f'_{key.rpartition(".")[2]}{value}'
        return f'{config}/{split}seed{self.seed}'

    @property
    def folder(self) -> Path:
        """Work folder of the run."""
        return self.out / self.name

    @property
    def checkpoint(self) -> Path:
        """The model after the last epoch.

        Not the best one: which is best is known from the test videos only.
        """
        epochs = self.cfg.train_cfg.get('max_epochs')
        if epochs is None:
            raise ExperimentError(f'{self.config} does not train by epochs')
        return self.folder / f'epoch_{epochs}.pth'

    @property
    def results(self) -> Path:
        """The per-clip results of the test."""
        return self.folder / 'clip_results.npz'

    @property
    def trained(self) -> bool:
        """Whether the last checkpoint is there and whole."""
        return zipfile.is_zipfile(self.checkpoint)

    @cached_property
    def start(self) -> Optional['Run']:
        """The run whose conv layers this one starts from.

        Same seed and same split: with a start trained on another split, the
        model would have seen the test videos.
        """
        path = self.cfg.model.backbone.get('pretrained_convs')
        if path is None:
            return None
        top, *name = Path(path).parent.parts
        config = CONFIGS.joinpath(*name).with_suffix('.py')
        if top != 'work_dirs' or not config.is_file():
            raise ExperimentError(
                f'{self.config}: pretrained_convs={path!r} does not name '
                'work_dirs/CONFIG/epoch_N.pth of a config in configs/'
            )
        start = replace(self, config=config, changes=())
        if Path(path).name != start.checkpoint.name:
            raise ExperimentError(
                f'{self.config}: pretrained_convs={path!r}, but {config} '
                f'ends with {start.checkpoint.name}'
            )
        return start

    @cached_property
    def fingerprint(self) -> str:
        """Changes with all that decides on the result."""
        config = self.cfg.to_dict()
        parts = [_deciding(config.get(key)) for key in DECIDING]
        parts += [self.seed, self.split]
        if self.start is not None:
            parts.append(self.start.fingerprint)
        text = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def options(self, processes: int) -> dict:
        """What training and test get by ``--cfg-options``.

        Args:
            processes (int): GPUs; 0 for one process on the CPU.

        Returns:
            dict[str, object]: Keys and values.

        Raises:
            ExperimentError: The run can't be had on so many GPUs, or the
                folder's name does not fit into an option.
        """
        options = {**self.data_options(), **dict(self.changes)}
        # Only the last one is tested; a run's folder stays small.
        options['default_hooks.checkpoint.max_keep_ckpts'] = 1
        options['default_hooks.checkpoint.save_best'] = None
        options['train_cfg.val_begin'] = self.cfg.train_cfg.max_epochs + 1
        options.update(self._steps(max(1, processes)))
        if self.start is not None:
            path = str(self.start.checkpoint)
            options['model.backbone.pretrained_convs'] = path
        kinds = [metric.type for metric in self.cfg.test_evaluator]
        if 'ClipConsistencyMetric' not in kinds:
            raise ExperimentError(
                f'{self.config}: test_evaluator has no ClipConsistencyMetric'
            )
        number = kinds.index('ClipConsistencyMetric')
        options[f'test_evaluator.{number}.out_file'] = str(self.results)
        # MMEngine takes these characters out of options, or for a list.
        if re.search(r'[\s,()\[\]\'"]', str(self.out)):
            raise ExperimentError(
                f'{self.out}: MMEngine takes no path with spaces, commas, '
                'quotes or brackets as an option. Choose another by --out.'
            )
        return options

    def _steps(self, processes: int) -> dict:
        """Accumulated batches that keep the videos of a step as they are."""
        if processes == self.gpus:
            return {}
        schedulers = self.cfg.param_scheduler
        batches = self.cfg.optim_wrapper.get('accumulative_counts', 1)
        total = batches * self.gpus
        counts_batches = any(
            not scheduler.get('by_epoch', True) for scheduler in schedulers
        )
        if counts_batches or total % processes:
            allowed = [n for n in range(1, total + 1) if total % n == 0]
            if counts_batches:
                allowed = [self.gpus]
            raise ExperimentError(
                f'{self.config.name} is written for {self.gpus} GPUs and '
                f'would be another experiment on {processes}: use --gpus '
                f'{" or ".join(map(str, allowed))}'
            )
        return {'optim_wrapper.accumulative_counts': total // processes}

    def missing_data(self) -> list:
        """Annotation files that are not there."""
        missing = []
        for loader in LOADERS:
            dataset = self.cfg[loader].dataset
            path = os.path.join(dataset.get('data_root', ''), dataset.ann_file)
            if not os.path.isfile(path) and path not in missing:
                missing.append(path)
        return missing

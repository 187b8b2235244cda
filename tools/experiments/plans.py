"""From (config, seed, split) to what has to be run, and where."""

import copy
import hashlib
import json
import os
import re
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Optional

from mmengine.config import Config

from .configs import (
    CONFIGS,
    DECIDING,
    LOADERS,
    STARTS,
    ExperimentError,
    deciding,
    paths_of,
    read_config,
    strings,
    videos_of,
)

FOLD = r'(split|fold)_\d+'
"""In the names of annotation files and of folders of features."""


@dataclass(frozen=True)
class Run:
    """One training and its test.

    Args:
        config (Path): Config file.
        seed (int): Seed of training.
        fold (int): Number of the split or fold. Data without have 1 only.
        out (Path): Folder of all runs.
        gpus (int): Processes that the config is written for.
        data_root (str): Folder of the data, in place of the config's. ``''``
            is the config's.
        changes (tuple[tuple[str, object]]): Keys and values in place of the
            config's.
    """

    config: Path
    seed: int
    fold: int
    out: Path
    gpus: int = 2
    data_root: str = ''
    changes: tuple = ()

    @cached_property
    def cfg(self) -> Config:
        """The config, with its changes and the lists of the fold."""
        cfg = copy.deepcopy(read_config(self.config))
        cfg.merge_from_dict(dict(self.changes))
        cfg.merge_from_dict(self.data_options(cfg))
        return cfg

    def data_options(self, cfg: Optional[Config] = None) -> dict:
        """What of ``--cfg-options`` chooses the data and their fold."""
        cfg = cfg or self.cfg
        options = {}
        for loader in LOADERS:
            found = strings(cfg[loader], 'ann_file', 'features', path=loader)
            for key, name in found:
                if re.search(FOLD, name):
                    options[key] = re.sub(FOLD, rf'\1_{self.fold}', name)
            if self.data_root:
                roots = strings(cfg[loader], 'data_root', path=loader)
                options.update((key, self.data_root) for key, _ in roots)
        return options

    @cached_property
    def fold_name(self) -> str:
        """``'split'`` or ``'fold'``, or ``''`` where the data have neither."""
        names = strings(self.cfg.train_dataloader, 'ann_file')
        found = [re.search(FOLD, name) for _, name in names]
        return next((match[1] for match in found if match), '')

    @property
    def config_name(self) -> str:
        """The config in ``configs``, or ``other/`` and its file name."""
        if self.config.is_relative_to(CONFIGS):
            return str(self.config.relative_to(CONFIGS))
        return f'other/{self.config.name}'

    @property
    def name(self) -> str:
        """Config, changes, fold and seed, as in the folder."""
        fold = f'{self.fold_name}{self.fold}_' if self.fold_name else ''
        config = self.config_name.removesuffix('.py')
        changes = [
            f'_{key.rpartition(".")[2]}{str(value).rpartition("/")[2]}'
            for key, value in self.changes
        ]
        config += ''.join(dict.fromkeys(changes))
        return f'{config}/{fold}seed{self.seed}'

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
    def writes_features(self) -> bool:
        """Whether its test writes features, for runs that start from it."""
        return self.cfg.test_cfg.type == 'ClipFeatureLoop'

    @property
    def results(self) -> Path:
        """The per-clip results of the test, or the features that it wrote."""
        name = 'features' if self.writes_features else 'clip_results.npz'
        return self.folder / name

    @property
    def trained(self) -> bool:
        """Whether the last checkpoint is there and whole."""
        return zipfile.is_zipfile(self.checkpoint)

    @property
    def _named_start(self) -> tuple:
        """Key and path of the model, or features, that it starts from."""
        found = strings(self.cfg.train_dataloader, 'features')
        for key, path in found:  # from data_root
            up, top, rest = path.partition('work_dirs/')
            if top and not up.strip('./'):
                return key, top + rest
        for name, key in STARTS.items():
            part = self.cfg.model.backbone if '.' in key else self.cfg
            if part.get(name):
                return key, part[name]
        return '', ''

    @cached_property
    def start(self) -> Optional['Run']:
        """The run that this one starts from, if its config names one.

        Same seed and same fold: a model of another fold has seen the test
        videos. ``work_dirs/NAME/epoch_N.pth`` names the config NAME.py in
        ``configs``, or beside this one, ``work_dirs/NAME/features`` the
        features that its test writes (a path from ``data_root``). Another
        file is taken as it is, if it was not trained on test videos.
        """
        key, path = self._named_start
        if not path:
            return None
        top, *names = Path(path).parent.parts or ('',)
        places = [CONFIGS.joinpath(*names)]
        if names:
            places.append(self.config.parent / names[-1])
        configs = [x.with_suffix('.py') for x in places]
        config = next((x for x in configs if x.is_file()), None)
        if top != 'work_dirs' or config is None:
            if not os.path.exists(path) and '://' not in path:
                raise ExperimentError(
                    f'{self.config} starts from {path}, which is neither a '
                    'file nor work_dirs/CONFIG/epoch_N.pth of a config in '
                    'configs/ or beside it'
                )
            self._check_other_start(path)
            return None
        start = replace(self, config=config, changes=())
        features = key.endswith('features')
        made = start.results if features else start.checkpoint
        if Path(path).name != made.name:
            raise ExperimentError(
                f'{self.config} starts from {path}, but {config} '
                f'ends with {made.name}'
            )
        return start

    def _check_other_start(self, path: str) -> None:
        """Refuse a model whose own config trained on our test videos."""
        if not os.path.isfile(path):
            return
        import torch

        meta = torch.load(path, map_location='cpu').get('meta') or {}
        if not meta.get('cfg'):
            return
        theirs = Config.fromstring(meta['cfg'], '.py').get('train_dataloader')
        seen = videos_of(theirs) & videos_of(self.cfg.test_dataloader)
        if seen:
            raise ExperimentError(
                f'{self.config} starts from {path}, which was trained on '
                f'{len(seen)} of the test videos of fold {self.fold}, such '
                f'as {min(seen)}. Start from a model of the same fold: name '
                'work_dirs/CONFIG/epoch_N.pth, and it is made for each.'
            )

    @cached_property
    def fingerprint(self) -> str:
        """Changes with all that decides on the result."""
        config = self.cfg.to_dict()
        parts = [deciding(config.get(key)) for key in DECIDING]
        parts += [self.seed, self.fold]
        if self.start is not None:
            parts.append(self.start.fingerprint)
        else:
            parts.append(self._named_start[1])
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
        options = {**dict(self.changes), **self.data_options()}
        # Only the last one is tested; a run's folder stays small.
        options['default_hooks.checkpoint.max_keep_ckpts'] = 1
        options['default_hooks.checkpoint.save_best'] = None
        options['train_cfg.val_begin'] = self.cfg.train_cfg.max_epochs + 1
        options.update(self._steps(max(1, processes)))
        if self.start is not None and self.on_features:
            # Absolute, as the dataset puts its data_root before it.
            path = os.path.abspath(self.start.results)
            options.update({f'{x}.dataset.features': path for x in LOADERS})
        elif self.start is not None:
            options[self._named_start[0]] = str(self.start.checkpoint)
        if self.writes_features:
            options['test_cfg.out_dir'] = str(self.results)
        else:
            options.update(self._results_option())
        # MMEngine takes these characters out of options, or for a list.
        if re.search(r'[\s,()\[\]\'"]', str(self.out)):
            raise ExperimentError(
                f'{self.out}: MMEngine takes no path with spaces, commas, '
                'quotes or brackets as an option. Choose another by --out.'
            )
        return options

    def _results_option(self) -> dict:
        """Where the test writes its results."""
        kinds = [metric.type for metric in self.cfg.test_evaluator]
        if 'ClipConsistencyMetric' not in kinds:
            raise ExperimentError(
                f'{self.config}: test_evaluator has no ClipConsistencyMetric'
            )
        number = kinds.index('ClipConsistencyMetric')
        return {f'test_evaluator.{number}.out_file': str(self.results)}

    def _steps(self, processes: int) -> dict:
        """Accumulated batches that keep the videos of a step as they are."""
        if processes == self.gpus:
            return {}
        schedulers = self.cfg.get('param_scheduler') or []
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
        """Annotation files, and features of no run, that are not there."""
        names = ['ann_file']
        if self.start is None:
            names.append('features')
        paths = []
        for loader in LOADERS:
            paths += paths_of(self.cfg[loader], *names)
        return [x for x in dict.fromkeys(paths) if not os.path.exists(x)]

    @property
    def on_features(self) -> bool:
        """Whether it trains on features, rather than on videos."""
        kind = self.cfg.train_dataloader.dataset.type
        return kind == 'ClipFeatureDataset'

    @property
    def in_process(self) -> bool:
        """Whether a process of its own would cost more than it gives.

        A training that reads without workers is short.
        """
        return self.cfg.train_dataloader.num_workers == 0

"""Trains and tests in this process, where a run takes a second or two."""

import gc
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

from .configs import ExperimentError
from .plans import Run


class _Config(Config):
    """Prints itself plainly: to print prettily takes as long as to train."""

    @property
    def pretty_text(self) -> str:
        return ''.join(f'{k} = {v!r}\n' for k, v in self.to_dict().items())


class _Runner(Runner):
    """MMEngine's runner without what it asks other programs and writes."""

    def _log_env(self, env_cfg: dict) -> None:
        pass

    def dump_config(self) -> None:
        pass


def train_and_test(run: Run, options: dict, log: Path) -> None:
    """Do what train.py and test.py do, one after the other.

    ``options`` take the place of the config's, ``log`` gets what is printed.

    Raises:
        ExperimentError: It failed.
    """
    _forget_runners()
    cfg = _Config(run.cfg.to_dict())
    cfg.merge_from_dict(options)
    cfg.work_dir, cfg.experiment_name = str(run.folder), run.config.stem
    cfg.launcher, cfg.randomness = 'none', dict(seed=run.seed)
    cfg.resume = (run.folder / 'last_checkpoint').is_file()
    with open(log, 'a') as file, redirect_stdout(file), redirect_stderr(file):
        try:
            runner = _Runner.from_cfg(cfg)
            runner.train()
            runner.test()
        except Exception as error:
            traceback.print_exc()
            raise ExperimentError(f'{error}\nThe log is {log}.') from error


def _forget_runners() -> None:
    """Close the logs of runs before, and let go of what MMEngine keeps."""
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            handler.close()
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):
        kind._instance_dict.clear()
    # MMEngine's datasets collect garbage, which looks at all modules else.
    gc.collect()
    gc.freeze()

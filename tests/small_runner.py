"""Trains one of our configs on small videos in the test's own process."""

import itertools
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner
from stock_tools import small_config

_numbers = itertools.count()

# No worker processes, a figure a step, no validation.
_QUICK = """
train_dataloader['num_workers'] = 0
train_dataloader['persistent_workers'] = False
train_cfg = dict(max_epochs=1, val_interval=100)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(save_best=None))
log_level = 'WARNING'
"""


def small_runner(folder, data_root, extra='', base='vll_c3d_ucf101.py'):
    """A Runner, built as train.py builds it.

    Args:
        folder (pathlib.Path): Where config and work_dir go.
        data_root (str | os.PathLike): Folder of ``write_dataset``.
        extra (str): Python that follows the small config.
        base (str): Name of a config in ``configs``.

    Returns:
        Runner: Its folder has the name of its config.
    """
    # Runs of one name in one process would share logger and message hub.
    path = folder / f'{folder.name}_{next(_numbers)}.py'
    config = Config.fromfile(
        small_config(path, base, data_root, extra=_QUICK + extra)
    )
    config.work_dir = str(path.with_suffix(''))
    return Runner.from_cfg(config)


def log_of(runner):
    """What was logged to the file."""
    (path,) = Path(runner.work_dir).glob('*/*.log')
    return path.read_text()

"""A hook that kills a training process or its launcher, once."""

import os
import signal
import time
from pathlib import Path

from mmaction.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class KillOnce(Hook):
    """SIGKILL in the second epoch, where the environment says whom.

    KILL is ``'rank'``, which is rank 1, or ``'launcher'``, its own. KILLED is
    a file that is made then, and after which nobody is killed.
    """

    priority = 'LOWEST'

    def after_train_iter(self, runner, batch_idx, data_batch, outputs=None):
        """Kill after the first iteration that no checkpoint holds."""
        victim = os.environ.get('KILL')
        if victim == 'rank' and os.environ['RANK'] != '1':
            return
        if victim is None or runner.epoch != 1:
            return
        killed = Path(os.environ['KILLED'])
        if not killed.exists():
            killed.touch()
            launcher = victim == 'launcher'
            os.kill(os.getppid() if launcher else os.getpid(), signal.SIGKILL)
            time.sleep(60)  # it takes this process with it

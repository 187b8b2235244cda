"""Seeds what the model draws, so that a resumed run draws the same."""

import random
from typing import Optional

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner


@HOOKS.register_module()
class IterSeedHook(Hook):
    """Seed all random generators before every training iteration.

    MMEngine saves no random state, so after a resume dropout and batch
    mixing would draw other numbers than the run that was stopped. Here the
    seed is a function of (``runner.seed``, iteration, rank) alone; MMEngine
    keeps ``runner.seed`` in the checkpoint. Python's, numpy's and PyTorch's
    generators (CPU and CUDA) are seeded. Data loading workers have their
    own and are not touched.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Seed the generators for this iteration."""
        # SeedSequence mixes well: consecutive iterations or ranks get seeds
        # that have nothing in common.
        entropy = [runner.seed, runner.iter, get_rank()]
        seed = np.random.SeedSequence(entropy).generate_state(1)[0]
        random.seed(int(seed))
        np.random.seed(seed)
        # torch.manual_seed keeps a list of calls for GPUs that are not there.
        torch.default_generator.manual_seed(int(seed))
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(int(seed))

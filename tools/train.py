"""Starts MMAction2's own train.py, for ``mim train vll_mmaction CONFIG``.

mim looks for it among the tools of the package that it is told, and
dist_train.sh starts it. Arguments are those of MMAction2's script. The plugin
is imported first, since it mends what ``_base_ = 'mmaction::...'`` takes.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / 'lib'))

from mmaction_tool import run_tool  # noqa: E402

import vll_mmaction  # noqa: E402, F401

if __name__ == '__main__':
    if 'RESTARTS_STORE' in os.environ:
        from restarts import resume_by_itself

        resume_by_itself()
    run_tool(Path(__file__).name)

#!/usr/bin/env python
"""Runs the paper's experiments and reports them.

Example::

    python tools/experiments.py list
    python tools/experiments.py run table1 --seeds 0 1 2
    python tools/experiments.py report table1
"""

from experiments.cli import main

if __name__ == '__main__':
    main()

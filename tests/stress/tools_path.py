"""Lets these scripts import what others share; pytest does it itself."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
for folder in ('tools/quickstart', 'tools/benchmarks', 'tools/data', 'tests'):
    sys.path.append(str(ROOT / folder))

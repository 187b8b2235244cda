#!/usr/bin/env bash
# Checks style and types and runs all tests in .venv, on several cores:
# run_tests.sh [pytest arguments]; -n0 for one process (--pdb needs it).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One worker a core, but no more than the memory has room for: a test may
# start two processes that train.
workers() {
    .venv/bin/python - << 'END'
import os

try:
    cores = len(os.sched_getaffinity(0))
except AttributeError:  # macOS
    cores = os.cpu_count() or 1
try:
    with open('/proc/meminfo') as file:
        sizes = dict(line.split(':', 1) for line in file)
    rooms = int(sizes['MemAvailable'].split()[0]) // (3 * 2**20)
except (OSError, KeyError):
    rooms = 2
print(max(1, min(cores, rooms, 8)))
END
}

bash tools/setup_env.sh
.venv/bin/ruff check .
.venv/bin/mypy
# A worker a core: more threads would only wait for each other.
export OMP_NUM_THREADS=1
.venv/bin/python -m pytest -n "$(workers)" --dist loadfile \
    --no-loadscope-reorder "$@"

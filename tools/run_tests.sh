#!/usr/bin/env bash
# Checks style and runs all tests in .venv: run_tests.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/setup_env.sh
.venv/bin/ruff check .
.venv/bin/python -m pytest tests "$@"

#!/usr/bin/env bash
# Tests with MMAction2's own test.py on several GPUs, one GPU or none.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/launch.sh"

usage='Usage: dist_test.sh CONFIG CHECKPOINT GPUS [arguments of test.py]

GPUS is the number of processes on this machine, one a GPU. Without CUDA they
run on the CPU. 0 is one plain process on the CPU.
Environment: NNODES, NODE_RANK, MASTER_ADDR, PORT, PYTHON.'

(($# >= 1)) || refuse 'CONFIG is missing.'
config=$1 checkpoint=${2:-}
check_config "$config"
[[ -n $checkpoint && $checkpoint != -* ]] || refuse 'CHECKPOINT is missing.'
check_processes "${3:-}"
processes=$3
shift 3

launch test.py "$processes" "$config" "$checkpoint" "$@"

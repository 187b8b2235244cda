#!/usr/bin/env bash
# Trains with MMAction2's own train.py on several GPUs, one GPU or none.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/launch.sh"

usage='Usage: dist_train.sh CONFIG GPUS [arguments of train.py]

GPUS is the number of processes on this machine, one a GPU. Without CUDA they
run on the CPU. 0 is one plain process on the CPU.
Environment: NNODES, NODE_RANK, MASTER_ADDR, PORT, PYTHON; RESTARTS, how often
a job that fails is started anew, from its last checkpoint (0).'

[[ ${RESTARTS:-0} =~ ^[0-9]+$ ]] || refuse "RESTARTS is no number: $RESTARTS"
(($# >= 1)) || refuse 'CONFIG is missing.'
config=$1
check_config "$config"
check_processes "${2:-}"
processes=$2
shift 2

launch train.py "$processes" "$config" "$@"

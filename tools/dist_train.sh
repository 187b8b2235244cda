#!/usr/bin/env bash
# Trains with MMAction2's own train.py on several GPUs, one GPU or none.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/launch.sh"

usage='Usage: dist_train.sh CONFIG GPUS [arguments of train.py]

GPUS is the number of processes on this machine, one a GPU. Without CUDA they
run on the CPU. 0 is one plain process on the CPU.
Environment: NNODES, NODE_RANK, MASTER_ADDR, PORT, PYTHON.'

(($# >= 2)) || die "$usage"
config=$1 processes=$2
shift 2
[[ $processes =~ ^(0|[1-9][0-9]*)$ ]] || die "GPUS is no number: $processes" "$usage"
[[ -f $config ]] || die "There is no config $config" "$usage"

launch train.py "$processes" "$config" "$@"

# Starts a script of MMAction2's tools; sourced by dist_train.sh, dist_test.sh.

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() {
    printf '%s\n' "$@" >&2
    exit 2
}

# The usage of the script, which has set it, and at last what is wrong.
refuse() {
    die "$usage" '' "$1"
}

check_config() {
    [[ -f $1 ]] || refuse "There is no config $1"
}

check_processes() {
    [[ -n $1 && $1 != --* ]] || refuse 'GPUS is missing.'
    [[ $1 =~ ^(0|[1-9][0-9]*)$ ]] || refuse "GPUS is no number: $1"
}

# The user's PYTHON, else the active environment, else this checkout's .venv.
choose_python() {
    local conda=${CONDA_DEFAULT_ENV:-base} venv=$lib/../../.venv/bin/python
    if [[ -n ${PYTHON:-} ]]; then
        printf '%s\n' "$PYTHON"
    elif [[ -z ${VIRTUAL_ENV:-} && $conda == base && -x $venv ]]; then
        printf '%s\n' "$venv"
    else
        command -v python || command -v python3 || die 'No python was found.'
    fi
}

# launch SCRIPT PROCESSES ARGUMENT...
launch() {
    local script=$1 processes=$2 python found tool gpus threads
    shift 2
    python=$(choose_python)
    found=$("$python" "$lib/mmaction_tool.py" "$script") || exit 2
    { read -r gpus && read -r threads; } <<< "$found"
    tool=${lib%/lib}/$script

    if ((processes == 0)); then
        set -x
        CUDA_VISIBLE_DEVICES=-1 exec "$python" "$tool" "$@"
    fi
    # Before the user's arguments, which therefore win.
    local options=(--launcher pytorch)
    if ((gpus == 0)); then
        # NCCL needs CUDA. Repeated --cfg-options add up.
        options=(--cfg-options env_cfg.dist_cfg.backend=gloo "${options[@]}")
        # MMEngine would give each process one thread.
        threads=$((threads > processes ? threads / processes : 1))
        export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads}
        export MKL_NUM_THREADS=${MKL_NUM_THREADS:-$OMP_NUM_THREADS}
    elif ((processes > gpus)); then
        die "$processes GPUs were asked for, but PyTorch sees $gpus."
    else
        # A batch has another shape in every step, which would fragment the
        # memory.
        local setting=expandable_segments:True
        export PYTORCH_CUDA_ALLOC_CONF=${PYTORCH_CUDA_ALLOC_CONF:-$setting}
    fi
    local command=("$tool")
    if setpriv --pdeathsig KILL true 2> /dev/null; then
        # Else ranks whose launcher is killed train on, unseen.
        command=(--no-python setpriv --pdeathsig KILL "$python" -u "$tool")
    fi
    local address=${MASTER_ADDR:-127.0.0.1} port=${PORT:-29500}
    local meeting=(--node_rank="${NODE_RANK:-0}" --master_addr="$address")
    meeting+=(--master_port="$port")
    if [[ $script == train.py && ${RESTARTS:-0} != 0 ]]; then
        # The static rendezvous cannot meet again. See restarts.py.
        export RESTARTS_STORE=$address:$port
        # Else a machine that joins again waits for the address of a store that
        # was told in the first round alone.
        export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
        meeting=(--max_restarts="$RESTARTS" --rdzv_backend=c10d)
        meeting+=(--rdzv_endpoint="$RESTARTS_STORE")
        meeting+=(--rdzv_conf="is_host=$((${NODE_RANK:-0} == 0))")
    fi
    set -x
    exec "$python" -m torch.distributed.run \
        --nnodes="${NNODES:-1}" "${meeting[@]}" \
        --nproc_per_node="$processes" "${command[@]}" "${options[@]}" "$@"
}

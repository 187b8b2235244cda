#!/usr/bin/env bash
# The main job on generated videos: installs, makes the videos, trains a
# clip-level and a video-level model with MMAction2's train.py, tests both with
# its test.py, prints a table and draws the training curves.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=work_dirs/quickstart
seed=${SEED:-0}

step() { printf '\n==> %s\n' "$*"; }

# Shows the progress lines of MMAction2's tools; the rest goes to a log file.
run() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if ! "$@" 2>&1 | tee "$log" \
        | grep --line-buffered -oE 'Epoch\((train|val|test)\).*|Counting.*|Counted.*'; then
        tail -n 30 "$log" >&2
        echo "quickstart.sh: failed, the whole log is in $log" >&2
        exit 1
    fi
}

# train NAME
train() {
    rm -rf "${work:?}/$1"
    run "$work/$1/train.log" bash tools/dist_train.sh \
        "configs/quickstart/$1.py" "$processes" --work-dir "$work/$1" --seed "$seed"
}

# test_model NAME EPOCH
test_model() {
    run "$work/$1/test.log" bash tools/dist_test.sh "configs/quickstart/$1.py" \
        "$work/$1/epoch_$2.pth" "$processes" --work-dir "$work/$1/test" \
        --cfg-options "test_evaluator.1.out_file=$work/$1/clip_results.npz"
}

started=$SECONDS
bash tools/setup_env.sh
export PYTHON=$PWD/.venv/bin/python
# One GPU where there is one, else the CPU.
processes=$("$PYTHON" -c 'import torch; print(int(torch.cuda.is_available()))')

step 'Making videos: eight motions, clips that mislead'
"$PYTHON" tools/quickstart/make_videos.py data/quickstart

step '1/3 Clip-level training from scratch: the start of both'
train clip_c3d
step '2/3 Clip-level training goes on'
train clip_c3d_finetune
step '3/3 Video-level training goes on, on as many clips'
train vll_c3d_finetune

step 'Testing both by vote'
test_model clip_c3d_finetune 4
test_model vll_c3d_finetune 4

step 'Result'
"$PYTHON" -W ignore::UserWarning tools/quickstart/summary.py "$work/clip_c3d" \
    "$work/clip_c3d_finetune" "$work/vll_c3d_finetune" --out "$work/curves.png"
echo "Took $((SECONDS - started)) s. Models and logs: $work"

#!/usr/bin/env bash
# The main job on generated videos: installs, makes the videos, trains a
# clip-level and a video-level model with MMAction2's train.py, tests both with
# its test.py, prints a table and draws the training curves.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage='Usage: quickstart.sh [--small] [--python PYTHON]

--small          few videos and one epoch: sees within a minute that all runs
--python PYTHON  use this Python, where all is installed, and make no .venv
Environment: SEED (0), DATA (data/quickstart) for the videos, WORK
(work_dirs/quickstart) for models and logs; with --small other folders.'

small='' python='' start_epoch=6 epoch=4 videos=()
while (($#)); do
    case $1 in
        --small) small=_small start_epoch=1 epoch=1 videos=(--videos 24 --test-videos 8) ;;
        --python)
            python=${2:?"$usage"}
            shift
            ;;
        *)
            printf '%s\n' "$usage" >&2
            exit 2
            ;;
    esac
    shift
done
data=${DATA:-data/quickstart$small}
work=${WORK:-work_dirs/quickstart$small}
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

# What the configs say for the default folders.
options=({train,val,test}_dataloader.dataset.data_root="$data")
[[ -z $small ]] || options+=(train_cfg.max_epochs=1)

# train NAME [OPTION ...]
train() {
    local name=$1
    shift
    rm -rf "${work:?}/$name"
    run "$work/$name/train.log" bash tools/dist_train.sh \
        "configs/quickstart/$name.py" "$processes" --work-dir "$work/$name" --seed "$seed" \
        --cfg-options "${options[@]}" "$@"
}

# test_model NAME EPOCH
test_model() {
    run "$work/$1/test.log" bash tools/dist_test.sh "configs/quickstart/$1.py" \
        "$work/$1/epoch_$2.pth" "$processes" --work-dir "$work/$1/test" \
        --cfg-options "${options[@]}" "test_evaluator.1.out_file=$work/$1/clip_results.npz"
}

started=$SECONDS
if [[ -z $python ]]; then
    bash tools/setup_env.sh
    python=$PWD/.venv/bin/python
fi
export PYTHON=$python
# One GPU where there is one, else the CPU.
processes=$("$PYTHON" -c 'import torch; print(int(torch.cuda.is_available()))')

step 'Making videos: eight motions, clips that mislead'
"$PYTHON" tools/quickstart/make_videos.py "$data" ${videos[@]+"${videos[@]}"}

convs=model.backbone.pretrained_convs=$work/clip_c3d/epoch_$start_epoch.pth
step '1/3 Clip-level training from scratch: the start of both'
train clip_c3d
step '2/3 Clip-level training continues'
train clip_c3d_finetune "$convs"
step '3/3 Video-level training from the same start, on as many clips'
train vll_c3d_finetune "$convs"

step 'Testing both by vote'
test_model clip_c3d_finetune "$epoch"
test_model vll_c3d_finetune "$epoch"

step 'Result'
"$PYTHON" -W ignore::UserWarning tools/quickstart/summary.py "$work/clip_c3d" \
    "$work/clip_c3d_finetune" "$work/vll_c3d_finetune" --out "$work/curves.png"
echo "Took $((SECONDS - started)) s. Models and logs: $work"

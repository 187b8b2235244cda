#!/usr/bin/env bash
# Says in seven minutes what this project does on a GPU: one Markdown report,
# one JSON file. PyTorch, numpy, OpenCV, scipy and matplotlib have to be there.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage='Usage: gpu_check.sh [--python PYTHON] [--wheels DIR] [--out DIR]
                    [--device cpu] [--quick]
       gpu_check.sh --fetch VERSION DIR

--python PYTHON  one that has PyTorch, numpy, OpenCV, scipy and matplotlib
--wheels DIR     what else it lacks is taken from here, without a network
--out DIR        where to write (work_dirs/gpu_check)
--device cpu     leave the GPU alone
--quick          small networks: shows that all runs, figures mean nothing
--fetch          download the wheels for a Python such as 3.12 (Linux, x86-64)'

die() {
    printf '%s\n' "$@" >&2
    exit 2
}

# What --python need not have, besides OpenMMLab; what it has is left as it is.
needed=(addict av einops hypothesis iniconfig Jinja2 MarkupSafe markdown-it-py
    mdurl packaging pillow platformdirs pluggy Pygments pytest PyYAML rich
    sortedcontainers termcolor yapf)

fetch() {
    local version=$1 folder=$2 platforms=() number python=${PYTHON:-python3}
    # In the versions that the plugin takes.
    mapfile -t -O "${#needed[@]}" needed < <("$python" -c "
import runpy
required = runpy.run_path('$root/vll_mmaction/version.py')['REQUIRED']
for name in ('mmengine', 'mmcv-lite', 'mmaction2'):
    print(name + required[name][0])")
    for number in 5 12 17 24 27 28 31; do
        platforms+=(--platform "manylinux_2_${number}_x86_64")
    done
    "$python" -m pip download --disable-pip-version-check --no-deps \
        --only-binary=:all: --python-version "$version" --implementation cp \
        "${platforms[@]}" --platform manylinux2014_x86_64 \
        --platform manylinux2010_x86_64 --dest "$folder" "${needed[@]}"
    du -sh "$folder"
}

python='' wheels='' out=work_dirs/gpu_check options=()
while (($#)); do
    case $1 in
        --fetch)
            (($# == 3)) || die "$usage"
            fetch "$2" "$3"
            exit
            ;;
        --quick)
            options+=("$1")
            shift
            continue
            ;;
        --python | --wheels | --out | --device) (($# > 1)) || die "$usage" ;;
        *) die "There is no option $1" "$usage" ;;
    esac
    case $1 in
        --python) python=$2 ;;
        --wheels) wheels=$2 ;;
        --out) out=$2 ;;
        --device)
            [[ $2 == cpu ]] || die "The device is found, or cpu" "$usage"
            options+=("$1" "$2")
            ;;
    esac
    shift 2
done
if [[ -z $python ]]; then
    python=$root/.venv/bin/python
    [[ -x $python ]] || python=python3
fi
"$python" -c 'import torch' || die "$python has no PyTorch: name one by --python"
mkdir -p "$out"
out=$(cd "$out" && pwd)

if [[ -n $wheels ]]; then
    [[ -d $wheels ]] || die "There is no folder $wheels"
    mapfile -t lacking < <("$python" - "$wheels" << 'END'
import sys
from importlib import metadata
from pathlib import Path

there = {(x.metadata['Name'] or '').lower().replace('-', '_')
         for x in metadata.distributions()}
for path in sorted(Path(sys.argv[1]).resolve().glob('*.whl')):
    if path.name.split('-')[0].lower() not in there:
        print(path)
END
    )
    if ((${#lacking[@]})); then
        "$python" -m pip install --disable-pip-version-check --quiet --no-index \
            --no-deps --no-compile --upgrade --target "$out/site" "${lacking[@]}"
    fi
fi
export PYTHONPATH=$root:$out/site${PYTHONPATH:+:$PYTHONPATH}
# Faster resizing, where there is a compiler; it works without.
(cd "$root" && "$python" setup.py -q build_ext --inplace) > "$out/build.log" 2>&1 \
    || true
exec "$python" "$root/tools/gpu_check/run.py" "$out" ${options[@]+"${options[@]}"}

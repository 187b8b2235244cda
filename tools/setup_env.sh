#!/usr/bin/env bash
# Makes the environment .venv with the tested versions, or brings it up to
# date. Needs Python 3.11 alone: python3.11, python3, or what PYTHON names.
# CONSTRAINTS names another file of versions, from requirements/.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
venv=$root/.venv
constraints=${CONSTRAINTS:-requirements/constraints.txt}

say() { printf '==> %s\n' "$*"; }
die() {
    printf 'setup_env.sh: %s\n' "$*" >&2
    exit 1
}

find_python() {
    local python
    for python in ${PYTHON:+"$PYTHON"} python3.11 python3; do
        if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
            2> /dev/null; then
            command -v "$python"
            return
        fi
        [[ $python != "${PYTHON:-}" ]] || die "$python is no Python 3.11."
    done
    die 'Python 3.11 was not found: name it by PYTHON=/path/to/python3.11'
}

# Changes with what is installed, and with the folder: a moved .venv is broken.
stamp_of_sources() {
    cat setup.py vll_mmaction/version.py vll_mmaction/video_io/*.c \
        "$constraints" "$0" <(echo "$root") \
        | "$venv/bin/python" -c 'import hashlib, sys
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'
}

install() { "$venv/bin/python" -m pip install --disable-pip-version-check -c "$constraints" "$@"; }

if ! "$venv/bin/python" -c '' 2> /dev/null; then
    python=$(find_python)
    say "Making .venv with $python"
    "$python" -m venv --clear "$venv"
fi

stamp=$(stamp_of_sources)
if [[ $(cat "$venv/.stamp" 2> /dev/null) == "$stamp" ]]; then
    say '.venv is up to date'
    exit 0
fi

# A full mmcv and mmcv-lite install the same files: leave the one that is there.
extras=lite,tests
if "$venv/bin/python" -m pip show -q mmcv 2> /dev/null; then
    say 'Keeping the installed mmcv'
    extras=tests
fi

say 'Installing PyTorch (large)'
install setuptools torch
say 'Installing vll_mmaction and what it needs'
# The setuptools just installed builds it, so nothing unpinned is fetched.
install --no-build-isolation --use-pep517 -e ".[$extras]"

"$venv/bin/python" -c 'import cv2' \
    || die 'OpenCV lacks a system library: on Debian or Ubuntu, apt-get install libgl1 libglib2.0-0'
compgen -G 'vll_mmaction/video_io/_fast_resize*.so' > /dev/null \
    || say 'No C compiler: OpenCV resizes the frames, to the same pixels, but slower'
echo "$stamp" > "$venv/.stamp"
say '.venv is ready'

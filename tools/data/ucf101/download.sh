#!/usr/bin/env bash
# Downloads and unpacks UCF101 and its split files: about 7 GB, and as much
# again unpacked. Run it again to go on after it was interrupted.
#
#   bash tools/data/ucf101/download.sh [FOLDER, default data/ucf101]
#
# UCF101_URL and UCF101_SPLITS_URL name other addresses.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../lib/download.sh"
out=${1:-data/ucf101}
site=https://www.crcv.ucf.edu/data/UCF101

need curl unrar unzip
fetch "${UCF101_SPLITS_URL:-$site/UCF101TrainTestSplits-RecognitionTask.zip}" \
    "$out/splits.zip" PK
fetch "${UCF101_URL:-$site/UCF101.rar}" "$out/UCF101.rar" 'Rar!'
unpack "$out/splits.zip" "$out/ucfTrainTestlist"
unpack "$out/UCF101.rar" "$out/UCF-101"
echo "Next: python $(dirname "$0")/prepare.py $out (UCF101.rar can go)"

#!/usr/bin/env bash
# Downloads and unpacks HMDB51 and its split files: about 2 GB, and as much
# again unpacked. Run it again to go on after it was interrupted.
#
#   bash tools/data/hmdb51/download.sh [FOLDER, default data/hmdb51]
#
# HMDB51_URL and HMDB51_SPLITS_URL name other addresses.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../lib/download.sh"
out=${1:-data/hmdb51}
site=https://serre-lab.clps.brown.edu/wp-content/uploads/2013/10

need curl unrar
fetch "${HMDB51_SPLITS_URL:-$site/test_train_splits.rar}" "$out/splits.rar" 'Rar!'
fetch "${HMDB51_URL:-$site/hmdb51_org.rar}" "$out/hmdb51_org.rar" 'Rar!'
unpack "$out/splits.rar" "$out/testTrainMulti_7030_splits"
if [[ ! -e $out/hmdb51_org ]]; then
    # An archive of archives, one a class.
    unpack "$out/hmdb51_org.rar" "$out/hmdb51_classes"
    for archive in "$out"/hmdb51_classes/*.rar; do
        unpack "$archive" "$out/hmdb51_org.part/$(basename "$archive" .rar)"
    done
    mv "$out/hmdb51_org.part" "$out/hmdb51_org"
    rm -r "$out/hmdb51_classes"
fi
echo "Next: python $(dirname "$0")/prepare.py $out (hmdb51_org.rar can go)"

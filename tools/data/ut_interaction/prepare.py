#!/usr/bin/env python
"""Makes the annotation lists of UT-Interaction: ten folds by sequence.

Get ``segmented_set1.zip`` and ``segmented_set2.zip`` from the page of its
authors (M. S. Ryoo and J. K. Aggarwal, SDHA 2010, High-level Human Interaction
Recognition Challenge) and unpack both into ``videos``: 120 files
``NUMBER_SEQUENCE_CLASS.avi``.

Fold k tests the videos of sequences k and k + 10, one of either set, and
trains on the other eighteen. For the choice of hyperparameters the lists
``choice_*`` stay within the training videos of a fold: they train on sixteen
of these sequences and test the two of the next fold.

Example::

    python tools/data/ut_interaction/prepare.py data/ut_interaction
"""

import argparse
import re
import sys
from pathlib import Path

CLASSES = ('handshake', 'hug', 'kick', 'point', 'punch', 'push')
FOLDS = 10
VIDEOS = 120


def write_lists(root: Path) -> None:
    """Write the lists of all videos, of each fold, and of the choice.

    Args:
        root (Path): Folder with ``videos``; the lists go there.
    """
    videos = []
    for path in sorted((root / 'videos').glob('*.avi')):
        match = re.fullmatch(r'\d+_(\d+)_([0-5])\.avi', path.name)
        if not match:
            sys.exit(f'{path} is not named NUMBER_SEQUENCE_CLASS.avi')
        sequence, label = map(int, match.groups())
        videos.append((path.name, label, (sequence - 1) % FOLDS + 1))
    if len(videos) != VIDEOS:
        sys.exit(
            f'{root}/videos has {len(videos)} videos, not {VIDEOS}: unpack '
            'both segmented sets there'
        )

    def write(name: str, folds: set) -> None:
        lines = [f'{x} {y}\n' for x, y, fold in videos if fold in folds]
        (root / f'{name}.txt').write_text(''.join(lines))

    every = set(range(1, FOLDS + 1))
    write('videos', every)
    for fold in every:
        held_out = fold % FOLDS + 1
        write(f'test_fold_{fold}', {fold})
        write(f'train_fold_{fold}', every - {fold})
        write(f'choice_test_fold_{fold}', {held_out})
        write(f'choice_train_fold_{fold}', every - {fold, held_out})
    (root / 'label_map.txt').write_text('\n'.join(CLASSES) + '\n')
    print(f'{len(videos)} videos, {FOLDS} folds: {root}')


def main(args=None) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('root', type=Path, help='folder with videos/')
    write_lists(parser.parse_args(args).root)


if __name__ == '__main__':
    main()

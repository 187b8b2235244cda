#!/usr/bin/env python
"""Draws Figures 7 and 8 of the paper for any videos.

Reads the per-clip results that ClipConsistencyMetric writes in test.py. Two
pictures: the votes of the clips, and the five highest class probabilities;
the ground truth is red.

Example::

    python tools/vote_figures.py clip/clip_results.npz vll/clip_results.npz \\
        --videos v_ApplyEyeMakeup_g01_c01 v_ApplyLipstick_g01_c01 \\
        --classes data/ucf101/label_map.txt --out work_dirs/figures
"""

import argparse
import sys
from pathlib import Path

import vll_mmaction  # noqa: F401  (before mmaction is imported)
from vll_mmaction.visualization import (
    draw_top_classes,
    draw_votes,
    load_models,
)

TITLES = ('clip-level training', 'video-level training')


def main(args=None) -> None:
    """Draw what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'results', nargs='+', metavar='NPZ', help='results of one model or two'
    )
    parser.add_argument(
        '--videos',
        nargs='+',
        required=True,
        help='ends of their paths, extension not needed',
    )
    parser.add_argument(
        '--titles',
        nargs='+',
        help=f'of the models (default, of two: {", ".join(TITLES)})',
    )
    parser.add_argument('--classes', help='file of class names, one a line')
    parser.add_argument('--out', type=Path, required=True, help='folder')
    args = parser.parse_args(args)
    titles = args.titles
    if titles is None:
        two = len(args.results) == 2
        titles = TITLES if two else [str(Path(x).parent) for x in args.results]
    try:
        models = load_models(args.results, titles, args.classes)
        figures = {
            'votes.png': draw_votes(models, args.videos),
            'top_classes.png': draw_top_classes(models, args.videos),
        }
    except (OSError, ValueError) as error:
        sys.exit(f'vote_figures.py: {error}')
    args.out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(args.out / name, dpi=150)
        print(args.out / name)


if __name__ == '__main__':
    main()

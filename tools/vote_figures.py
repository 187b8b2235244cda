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
from dataclasses import replace
from pathlib import Path

import numpy as np

import vll_mmaction  # noqa: F401  (before mmaction is imported)
from vll_mmaction.evaluation import load_clip_results
from vll_mmaction.visualization import draw_top_classes, draw_votes

TITLES = ('clip-level training', 'video-level training')


def load(path: str, classes: list) -> tuple:
    """Per-clip results with class names, if there are any."""
    results = load_clip_results(path)
    num_classes = results.clip_scores.shape[1]
    if classes and len(classes) != num_classes:
        raise ValueError(
            f'{path} has {num_classes} classes, but {len(classes)} names '
            'were given'
        )
    if classes:
        results = replace(results, class_names=np.array(classes))
    return results


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
    parser.add_argument(
        '--classes', type=Path, help='file of class names, one a line'
    )
    parser.add_argument('--out', type=Path, required=True, help='folder')
    args = parser.parse_args(args)
    titles = args.titles
    if titles is None:
        two = len(args.results) == 2
        titles = TITLES if two else [str(Path(x).parent) for x in args.results]
    if len(set(titles)) != len(args.results):
        sys.exit('vote_figures.py: give each model a title of its own')
    try:
        classes = args.classes.read_text().split('\n') if args.classes else []
        classes = [name for name in classes if name]
        models = {
            title: load(path, classes)
            for title, path in zip(titles, args.results)
        }
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

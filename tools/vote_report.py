#!/usr/bin/env python
"""Makes one page about how the clips of each video vote.

Reads the per-clip results that ClipConsistencyMetric writes in test.py, of
one model or of two to be compared. The page opens from disk; docs/report.md
says what it shows. Beside it are its numbers as CSV; of videos without labels
there is a CSV of the predictions alone. With --videos the tool draws Figures 7
and 8 of the paper for some videos instead.

Example::

    python tools/vote_report.py clip/clip_results.npz vll/clip_results.npz \\
        --classes data/ucf101/label_map.txt --out work_dirs/report
"""

import argparse
import sys
from pathlib import Path

import vll_mmaction  # noqa: F401  (before mmaction is imported)
from vll_mmaction.visualization import (
    draw_top_classes,
    draw_votes,
    load_models,
    write_report,
)


def write_figures(models: dict, videos: list, out: Path) -> None:
    """Write Figures 7 and 8 of the paper for some videos."""
    figures = {
        'votes.png': draw_votes(models, videos),
        'top_classes.png': draw_top_classes(models, videos),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(out / name, dpi=150)
        print(out / name)


def main(args=None) -> None:
    """Make what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'results', nargs='+', metavar='NPZ', help='results of one model or two'
    )
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        help='folder: empty, or of an earlier report, which is replaced',
    )
    parser.add_argument(
        '--video-root',
        default='',
        help='folder of the videos, if they are not where the results say',
    )
    parser.add_argument(
        '--titles',
        nargs='+',
        help='of the models (default: the names of their configs)',
    )
    parser.add_argument(
        '--classes',
        help='file of class names, one a line (default: those in the results, '
        'or label_map.txt or classes.txt in a folder above the videos)',
    )
    parser.add_argument(
        '--videos',
        nargs='+',
        help='draw Figures 7 and 8 for these videos, no page; ends of their '
        'paths, extension not needed',
    )
    args = parser.parse_args(args)
    try:
        models = load_models(
            args.results, args.titles, args.classes, args.video_root
        )
        if args.videos:
            if any(results.labels.min() < 0 for results in models.values()):
                raise ValueError(
                    '--videos shows right and wrong votes, but the videos '
                    'have no labels: without it their predictions are written'
                )
            write_figures(models, args.videos, args.out)
            return
        report = write_report(models, args.out, args.video_root)
    except (OSError, ValueError) as error:
        sys.exit(f'vote_report.py: {error}')
    except KeyboardInterrupt:
        sys.exit(
            'vote_report.py: stopped; the same command goes on from the '
            'thumbnails that are done'
        )
    if report.problems:
        name, reason = next(iter(report.problems.items()))
        print(
            f'{len(report.problems)} of {report.num_videos} videos have no '
            f'pictures; the first is {name!r}: {reason}',
            file=sys.stderr,
        )
        if len(report.problems) == report.num_videos:
            print(
                'Are the videos elsewhere? --video-root names their folder, '
                'which takes the place of the one that all paths share.',
                file=sys.stderr,
            )
    print(report.page)


if __name__ == '__main__':
    main()

"""The quickstart's result: a table of its two models, and training curves.

Reads what MMAction2's train.py and test.py left behind: ``scalars.json`` of
each training run and the per-clip results of each test.
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib
import numpy as np
from rich.console import Console
from rich.table import Table

import vll_mmaction  # noqa: F401  (before mmaction is imported)
from vll_mmaction.evaluation import consistency_figures, load_clip_results

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

COLUMNS = {
    'clip_acc': 'clip accuracy',
    'video_acc_vote': 'video accuracy (vote)',
    'agreement': 'agreement',
}
START = 'clip-level, from scratch'
ROWS = {
    'clip-level': 'clip-level, trained on',
    'video-level': 'video-level, fine-tuned',
}


def read_scalars(work_dir: Path) -> list:
    """Logged scalars of the newest run in a work_dir, a dict a line."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        sys.exit(f'There is no scalars.json of a training run in {work_dir}')
    lines = files[-1].read_text().splitlines()
    return [json.loads(line) for line in lines]


def curve(scalars: list, name: str, epochs_before: int = 0) -> tuple:
    """One scalar over epochs: these (n,), and its values (n,).

    ``epochs_before`` shifts a run that goes on from another.
    """
    train = [row for row in scalars if 'lr' in row]
    # Validation rows count epochs, training rows iterations.
    a_epoch = max(row['iter'] for row in train) / train[-1]['epoch']
    rows = [row for row in scalars if name in row]
    epochs = [
        row['step'] / a_epoch if 'lr' in row else row['step'] for row in rows
    ]
    values = [row[name] for row in rows]
    return np.array(epochs) + epochs_before, np.array(values)


def draw_curves(start: list, runs: dict, chance: float, out: Path) -> None:
    """Training accuracy of the clips and validation accuracy of the videos.

    ``start`` are scalars of the run that both others go on from; ``chance`` is
    the accuracy of guessing.
    """
    epochs = max(row['epoch'] for row in start if 'lr' in row)
    panels = {
        'top1_acc': 'clips of the training batches',
        'acc/top1': 'test videos, by vote',
    }
    figure, axes = plt.subplots(
        1, 2, figsize=(10, 4), sharey=True, layout='constrained'
    )
    style = dict(marker='o', markersize=3)  # a short run has one value
    for axis, (name, title) in zip(axes, panels.items()):
        axis.plot(*curve(start, name), color='0.5', label=START, **style)
        for colour, (row, scalars) in zip(('C0', 'C3'), runs.items()):
            points = curve(scalars, name, epochs)
            axis.plot(*points, color=colour, label=ROWS[row], **style)
        axis.axhline(chance, color='0.7', linestyle=':', label='chance')
        axis.axvline(epochs, color='0.85')
        axis.set(title=title, xlabel='epoch', ylim=(0, 1))
    axes[0].set_ylabel('accuracy')
    axes[0].legend(loc='upper left', frameon=False, fontsize='small')
    figure.savefig(out, dpi=120)


def main() -> None:
    """Print the table, write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('start', type=Path, help='work_dir both start from')
    parser.add_argument('clip', type=Path, help='work_dir, clip-level')
    parser.add_argument('video', type=Path, help='work_dir, video-level')
    parser.add_argument('--out', type=Path, required=True, help='picture')
    args = parser.parse_args()
    work_dirs = {'clip-level': args.clip, 'video-level': args.video}

    table = Table(title='Result on the test videos')
    table.add_column('training')
    for column in COLUMNS.values():
        table.add_column(column, justify='right')
    for row, work_dir in work_dirs.items():
        results = load_clip_results(str(work_dir / 'clip_results.npz'))
        figures = consistency_figures(results)
        table.add_row(ROWS[row], *(f'{figures[c]:.3f}' for c in COLUMNS))
    chance = 1 / results.clip_scores.shape[1]
    table.add_section()
    table.add_row('chance', f'{chance:.3f}', f'{chance:.3f}', '')
    table.caption = f'{len(results)} videos, {len(results.clip_scores)} clips'
    Console().print(table)

    runs = {row: read_scalars(path) for row, path in work_dirs.items()}
    draw_curves(read_scalars(args.start), runs, chance, args.out)
    print(f'Training curves: {args.out}')


if __name__ == '__main__':
    main()

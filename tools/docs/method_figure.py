#!/usr/bin/env python
"""Draws the figure of docs/method.md: where the loss pulls the clips.

Example::

    python tools/docs/method_figure.py docs/images/method.png
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use('Agg')

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

from vll_mmaction.models import consistent_constraint_loss  # noqa: E402

# Scores of the clips of a video among three classes; the label is the first.
VIDEOS = {
    'some wrong: Eq. 5': (
        (0.80, 0.12, 0.08),
        (0.64, 0.08, 0.28),
        (0.22, 0.68, 0.10),
        (0.30, 0.12, 0.58),
    ),
    'all wrong: Eq. 4': (
        (0.30, 0.56, 0.14),
        (0.10, 0.72, 0.18),
        (0.24, 0.14, 0.62),
    ),
    'all right: 0': (
        (0.84, 0.08, 0.08),
        (0.60, 0.30, 0.10),
        (0.52, 0.12, 0.36),
    ),
}
CORNERS = np.array([(0.5, 3**0.5 / 2), (0, 0), (1, 0)])
NAMES = ('the label', 'class 2', 'class 3')
# Okabe and Ito's colours, told apart also by the colour-blind.
RIGHT, WRONG, TARGET = '#0072b2', '#d55e00', '#000000'


def pull(scores: torch.Tensor) -> torch.Tensor:
    """Which way one step of gradient descent on the logits moves scores.

    Args:
        scores (Tensor): Probabilities, (m, K).

    Returns:
        Tensor: Differences of the probabilities, (m, K).
    """
    logits = scores.log().requires_grad_()
    label = torch.zeros(len(scores), dtype=torch.int64)
    loss = consistent_constraint_loss(logits, label)
    (gradient,) = torch.autograd.grad(loss, logits)
    return (logits - 3 * gradient).softmax(dim=1).detach() - scores


def draw(axes, title: str, scores: torch.Tensor) -> None:
    """Draw the clips of one video in the triangle of three classes."""
    axes.fill(*CORNERS.T, facecolor='#f4f4f4', edgecolor='#999999')
    centre = CORNERS.mean(axis=0)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        # Where two classes are equally likely and lead.
        middle = (CORNERS[one] + CORNERS[other]) / 2
        axes.plot(*zip(centre, middle), color='#cccccc', linewidth=1)
    for corner, name in zip(CORNERS, NAMES):
        above = corner[1] > 0
        axes.annotate(
            name,
            corner,
            (0, 6 if above else -6),
            textcoords='offset points',
            ha='center',
            va='bottom' if above else 'top',
        )
    places = scores.numpy() @ CORNERS
    steps = pull(scores).numpy() @ CORNERS
    right = (scores.argmax(dim=1) == 0).numpy()
    if right.any() and not right.all():
        axes.plot(
            *places[right].mean(axis=0),
            marker='x',
            color=TARGET,
            markersize=9,
            linestyle='none',
        )
    for place, step, is_right in zip(places, steps, right):
        color = RIGHT if is_right else WRONG
        marker = 'o' if is_right else 's'
        axes.plot(*place, marker=marker, color=color, markersize=8)
        if np.hypot(*step) > 1e-3:
            axes.annotate(
                '',
                place + step,
                place,
                arrowprops=dict(arrowstyle='->', color=color, linewidth=1.6),
            )
    axes.set_title(title, pad=22)
    axes.set_aspect('equal')
    axes.axis('off')


def main(args=None) -> None:
    """Draw what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path, help='picture to write')
    out = parser.parse_args(args).out
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.3))
    for place, (title, scores) in zip(axes, VIDEOS.items()):
        draw(place, title, torch.tensor(scores))
    marks = [
        plt.Line2D([], [], color=color, marker=marker, linestyle='none')
        for color, marker in ((RIGHT, 'o'), (WRONG, 's'), (TARGET, 'x'))
    ]
    figure.legend(
        marks,
        ('clip that is right', 'clip that is wrong', 'mean of the right'),
        loc='lower center',
        ncols=3,
        frameon=False,
    )
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    out.parent.mkdir(parents=True, exist_ok=True)
    # Without the version of matplotlib, so that files compare.
    figure.savefig(out, dpi=100, metadata=dict(Software=None))


if __name__ == '__main__':
    main()

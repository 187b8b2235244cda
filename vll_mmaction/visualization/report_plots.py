"""Figures of the report page, as SVG images."""

import base64
import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .vote_plots import shorten

MOST_NAMES = 24
"""Classes up to which a matrix shows names."""
MOST_NUMBERS = 12
"""Classes up to which a matrix shows numbers."""


def _new(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout='constrained')
    axis = figure.subplots()
    axis.spines[['top', 'right']].set_visible(False)
    return figure, axis


def svg_address(figure: Figure) -> str:
    """A figure as a ``data:`` address for ``<img src>``; text stays text."""
    file = io.BytesIO()
    with mpl.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': ''}):
        figure.savefig(
            file, format='svg', transparent=True, metadata={'Date': None}
        )
    text = base64.b64encode(file.getvalue()).decode()
    return f'data:image/svg+xml;base64,{text}'


@mpl.rc_context({'text.parse_math': False})  # a `$` in a name is a `$`
def draw_confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Videos (K, K) of true classes (rows) and voted classes (columns).

    Shaded by the square root of the share of the row, so that few videos
    show, too. Names and numbers stand where there is room.
    """
    figure, axis = _new(4.6, 4.6)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(np.sqrt(shares), cmap='Blues', vmin=0, vmax=1)
    axis.set(xlabel='voted class', ylabel='true class')
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    if len(matrix) <= MOST_NAMES:
        short = list(map(shorten, names))
        axis.set_xticks(range(len(short)), short, rotation=90)
        axis.set_yticks(range(len(short)), short)
    if len(matrix) <= MOST_NUMBERS:
        for true, voted in np.argwhere(matrix):
            axis.annotate(
                str(matrix[true, voted]),
                (voted, true),
                ha='center',
                va='center',
                color='white' if shares[true, voted] > 0.5 else 'black',
            )
    return figure


def draw_voters(lines: Mapping[str, Mapping[int, float]]) -> Figure:
    """``accuracy_by_voters`` of each model, over a logarithmic number."""
    figure, axis = _new(4.2, 2.9)
    for style, (title, line) in zip(('o-', 's--'), lines.items()):
        shares = [100 * share for share in line.values()]
        axis.plot(list(line), shares, style, label=title)
    axis.set_xscale('log', base=2)
    axis.xaxis.set_major_formatter('{x:.0f}')
    axis.set(xlabel='clips that vote, at most', ylabel='right by vote')
    axis.yaxis.set_major_locator(
        MaxNLocator(6, steps=[1, 2, 5, 10], integer=True)
    )
    axis.yaxis.set_major_formatter('{x:.0f} %')
    axis.grid(axis='y', linewidth=0.5)
    if len(lines) > 1:
        axis.legend(frameon=False)
    return figure

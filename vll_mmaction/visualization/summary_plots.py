"""Figures of the report page, as SVG that takes the page's colours."""

import io
import re
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.text import Text

from .vote_plots import shorten

# Colours that stand for one of the page's own, light or dark.
INK, GRID = '#010101', '#020202'
MODELS = ('#030303', '#040404')
VARIABLES = {
    INK: 'var(--text)',
    GRID: 'var(--grid)',
    MODELS[0]: 'var(--a)',
    MODELS[1]: 'var(--b)',
}
MARKERS = 'os'
STYLES = '-', '--'
"""The models differ in more than colour."""
# From nothing to blue: readable on a light and on a dark page.
SHADES = LinearSegmentedColormap.from_list(
    'shades', [(0.2, 0.45, 0.85, 0.0), (0.2, 0.45, 0.85, 1.0)]
)
MOST_LABELS = 24
"""Classes up to which a matrix shows names."""
MOST_NUMBERS = 12
"""Classes up to which a matrix shows numbers."""


def _new(width: float = 4.2, height: float = 2.9) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout='constrained')
    figure.patch.set_visible(False)
    axis = figure.subplots()
    axis.patch.set_visible(False)
    axis.spines[['top', 'right']].set_visible(False)
    axis.spines[['left', 'bottom']].set_color(GRID)
    axis.tick_params(colors=INK, labelsize=10, length=0)
    return figure, axis


def _labels(axis: Axes, x: str, y: str) -> None:
    axis.set_xlabel(x, fontsize=10, color=INK)
    axis.set_ylabel(y, fontsize=10, color=INK)


def to_svg(figure: Figure, name: str) -> str:
    """A figure as an SVG element for use within a page.

    Args:
        figure (Figure): Drawn in the colours above.
        name (str): Prefix of its ids, of which a page may hold each once.

    Returns:
        str: ``<svg>``; text stays text, hidden from screen readers: the
        figure is named where it is used.
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a `$` in the name of a class is a `$`
    file = io.StringIO()
    nothing = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
    settings = {'svg.fonttype': 'none', 'svg.hashsalt': name}
    with mpl.rc_context(settings):
        figure.savefig(file, format='svg', metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index('<svg') :]
    # Its style would be that of the whole page.
    svg = re.sub(r'<style.*?</style>', '', svg, flags=re.DOTALL)
    svg = re.sub(
        r'(fill|stroke): ?(#0[1-4]0[1-4]0[1-4])',
        lambda x: f'{x[1]}: {VARIABLES.get(x[2], x[2])}',
        svg,
    )
    svg = re.sub(r'( id="| xlink:href="#|url\(#)', rf'\g<1>{name}-', svg)
    box = re.findall(r'viewBox="[^"]+"', svg)[0]
    return re.sub(
        r'<svg[^>]*>', f'<svg {box} aria-hidden="true">', svg, count=1
    )


def draw_confusion(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Matrix of true classes (rows) and voted classes (columns).

    Args:
        matrix (ndarray): Videos, (K, K).
        names (Sequence[str]): Names of the classes.

    Returns:
        Figure: Shaded by the square root of the share of the row, so that
        few videos show, too. Names and numbers stand where there is room.
    """
    size = 4.6
    figure, axis = _new(size, size)
    total = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(total, 1)
    shades = np.sqrt(shares)
    axis.imshow(shades, cmap=SHADES, vmin=0, vmax=1, interpolation='nearest')
    axis.spines[['top', 'right']].set_visible(True)
    axis.spines[:].set_color(GRID)
    _labels(axis, 'voted class', 'true class')
    classes = np.arange(len(matrix))
    if len(matrix) <= MOST_LABELS:
        short = [shorten(name) for name in names]
        axis.set_xticks(classes, short, rotation=90)
        axis.set_yticks(classes, short)
        axis.tick_params(labelsize=9 if len(matrix) <= MOST_NUMBERS else 7)
    if len(matrix) <= MOST_NUMBERS:
        for true, voted in zip(*np.nonzero(matrix)):
            axis.annotate(
                str(matrix[true, voted]),
                (voted, true),
                ha='center',
                va='center',
                fontsize=9,
                color='white' if shares[true, voted] > 0.9 else INK,
            )
    return figure


def _draw_lines(axis: Axes, lines: dict[str, tuple]) -> None:
    for number, (title, (x, y)) in enumerate(lines.items()):
        axis.plot(
            x,
            y,
            color=MODELS[number],
            marker=MARKERS[number],
            linestyle=STYLES[number],
            markersize=4,
            linewidth=1.6,
            label='AB'[number] + ' ' + shorten(title),
        )
    axis.grid(axis='y', color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.yaxis.set_major_formatter('{x:.0f} %')
    if len(lines) > 1:
        axis.legend(frameon=False, fontsize=10, labelcolor=INK)


def draw_by_length(
    groups: Sequence[tuple[int, int]], accuracy: Mapping[str, Sequence[float]]
) -> Figure:
    """Accuracy of the videos by how many clips they have.

    Args:
        groups (Sequence[tuple[int, int]]): Fewest and most clips of a group.
        accuracy (dict[str, Sequence[float]]): Share of right videos of each
            group, by model.

    Returns:
        Figure: A line a model.
    """
    figure, axis = _new()
    places = np.arange(len(groups))
    _draw_lines(
        axis, {k: (places, 100 * np.array(v)) for k, v in accuracy.items()}
    )
    axis.set_xticks(places, [group_name(*group) for group in groups])
    _labels(axis, 'clips of a video', 'right by vote')
    return figure


def group_name(first: int, last: int) -> str:
    """A range of clip numbers, in letters."""
    return str(first) if first == last else f'{first}–{last}'


def draw_by_voters(accuracy: dict[str, dict[int, float]]) -> Figure:
    """Accuracy of the videos if only so many clips of each vote.

    Args:
        accuracy (dict[str, dict[int, float]]): Share of right videos by
            number of clips, by model.

    Returns:
        Figure: A line a model, over a logarithmic number of clips.
    """
    figure, axis = _new()
    _draw_lines(
        axis,
        {
            title: (list(values), [100 * x for x in values.values()])
            for title, values in accuracy.items()
        },
    )
    axis.set_xscale('log')
    ticks = sorted({x for values in accuracy.values() for x in values})
    # The longest video's number is no power and may sit on the one before.
    shown = [x for x in ticks[:-1] if x * 1.3 < ticks[-1]] + ticks[-1:]
    axis.set_xticks(shown, [str(x) for x in shown])
    axis.minorticks_off()
    _labels(axis, 'clips that vote, at most', 'right by vote')
    return figure


def draw_calibration(bins: dict[str, Sequence[dict]]) -> Figure:
    """Share of right videos by the probability of their class.

    Args:
        bins (dict[str, Sequence[dict]]): See
            :func:`.vote_summary.calibration`, by model.

    Returns:
        Figure: A line a model, and the diagonal where the two are the same.
    """
    figure, axis = _new()
    axis.plot([0, 100], [0, 100], color=GRID, linewidth=1, linestyle=':')
    _draw_lines(
        axis,
        {
            title: (
                [100 * x['confidence'] for x in values],
                [100 * x['accuracy'] for x in values],
            )
            for title, values in bins.items()
        },
    )
    axis.set_xlim(0, 102)
    axis.set_ylim(0, 104)
    axis.xaxis.set_major_formatter('{x:.0f} %')
    _labels(axis, 'mean probability of the class', 'right')
    return figure

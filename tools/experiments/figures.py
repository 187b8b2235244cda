"""Lines with intervals."""

from pathlib import Path

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

COLORS = 'C3', 'C0', 'C2', 'C1', 'C4'


def draw_lines(lines: dict, path: Path, **labels: str) -> None:
    """Draw figures with intervals against a number.

    Args:
        lines (dict[str, list[tuple]]): By name: x, y, low and high end of
            each point.
        path (Path): Picture to write.
        labels (str): ``xlabel`` and ``ylabel``.
    """
    figure, axis = plt.subplots(figsize=(6, 4), layout='constrained')
    ticks = sorted({point[0] for points in lines.values() for point in points})
    steps = [b - a for a, b in zip(ticks, ticks[1:])]
    shift = 0.06 * min(steps, default=0)
    for number, (name, points) in enumerate(lines.items()):
        # A little apart, so that intervals can be told from each other.
        away = shift * (number - (len(lines) - 1) / 2)
        xs, ys, lows, highs = zip(*points)
        axis.errorbar(
            [x + away for x in xs],
            ys,
            [
                [y - low for y, low in zip(ys, lows)],
                [high - y for y, high in zip(ys, highs)],
            ],
            marker='o',
            markersize=4,
            capsize=3,
            color=COLORS[number % len(COLORS)],
            label=name,
        )
    axis.set(xticks=ticks, **labels)
    axis.grid(color='0.92')
    axis.spines[['top', 'right']].set_visible(False)
    axis.legend(frameon=False, fontsize='small')
    figure.savefig(path, dpi=150)
    plt.close(figure)

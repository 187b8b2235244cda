"""Votes of a video's clips and its class probabilities, as bars.

Figures 7 and 8 of Shi et al. 2020: a row a video, a column a model, the
ground truth in red.
"""

import os.path as osp
from collections.abc import Callable, Sequence
from pathlib import PurePath

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluation import ClipResults

TRUE_COLOUR = '#d62728'
OTHER_COLOUR = '#72a0c1'
TOP = 5
LONGEST_NAME = 22
"""Letters of a class name that are shown."""


def find_video(results: ClipResults, name: str) -> int:
    """Number of a video.

    Args:
        results (ClipResults): Per-clip results.
        name (str): The end of its path, with or without extension.

    Returns:
        int: Its number in the results.

    Raises:
        ValueError: No video, or several, have this name.
    """
    found = [
        number
        for number, path in enumerate(map(str, results.filenames))
        if f'/{path}'.endswith(f'/{name}')
        or f'/{osp.splitext(path)[0]}'.endswith(f'/{name}')
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        some = ', '.join(str(x) for x in results.filenames[:3])
        raise ValueError(f'no video {name!r}; there are {some}, ...')
    raise ValueError(
        f'{name!r} is the name of {len(found)} videos, among them '
        f'{results.filenames[found[0]]} and {results.filenames[found[1]]}: '
        'give more of the path'
    )


def class_votes(scores: np.ndarray) -> np.ndarray:
    """Clips that vote for each class, (m, K) scores to (K,) int64."""
    return np.bincount(scores.argmax(axis=1), minlength=scores.shape[1])


def class_names(results: ClipResults) -> list[str]:
    """Names of the classes, or their numbers where names are unknown."""
    if len(results.class_names):
        return [str(name) for name in results.class_names]
    return [f'class {k}' for k in range(results.clip_scores.shape[1])]


def printable(text: str) -> str:
    """Text in which every character can be shown on a line."""
    return ''.join(x if x.isprintable() else '�' for x in text)


def shorten(name: str) -> str:
    """A name of at most ``LONGEST_NAME`` letters that can be shown."""
    name = printable(name)
    short = name[: LONGEST_NAME - 1] + '…'
    return name if len(name) <= LONGEST_NAME else short


def _draw_bars(
    axis: Axes,
    names: Sequence[str],
    label: int,
    classes: Sequence[int],
    values: np.ndarray,
    texts: Sequence[str],
) -> None:
    """Horizontal bars of some classes, the first on top."""
    colours = [TRUE_COLOUR if k == label else OTHER_COLOUR for k in classes]
    bars = axis.barh(range(len(values)), values, height=0.7, color=colours)
    axis.bar_label(bars, texts, padding=4, fontsize=8)
    axis.set_yticks(range(len(values)), [shorten(names[k]) for k in classes])
    for tick, k in zip(axis.get_yticklabels(), classes):
        if k == label:
            tick.set_color(TRUE_COLOUR)
    axis.tick_params(labelsize=8, length=0)
    axis.set_ylim(TOP - 0.5, -0.5)  # bars of one height everywhere
    axis.spines[['top', 'right', 'left']].set_visible(False)


def _draw_vote(
    axis: Axes, names: Sequence[str], scores: np.ndarray, label: int
) -> None:
    votes = class_votes(scores)
    classes = [k for k in np.argsort(-votes, kind='stable') if votes[k]]
    shown = classes[:TOP]
    if label in classes and label not in shown:
        shown[-1] = label
    texts = [str(votes[k]) for k in shown]
    _draw_bars(axis, names, label, shown, votes[shown], texts)
    text = f'{len(scores)} clip{"s" if len(scores) > 1 else ""}'
    if len(classes) > len(shown):
        rest = len(scores) - votes[shown].sum()
        text += f'; {rest} for {len(classes) - len(shown)} other classes'
    axis.set_xlabel(text, fontsize=8)
    axis.set_xlim(0, len(scores) * 1.1)
    axis.set_xticks([])


def _draw_probabilities(
    axis: Axes, names: Sequence[str], scores: np.ndarray, label: int
) -> None:
    mean = scores.mean(axis=0, dtype=np.float64)
    shown = np.argsort(-mean, kind='stable')[:TOP].tolist()
    texts = [f'{mean[k]:.2f}' for k in shown]
    _draw_bars(axis, names, label, shown, mean[shown], texts)
    axis.set_xlim(0, 1.1)
    axis.set_xticks([0, 0.5, 1])


@mpl.rc_context({'text.parse_math': False})  # a `$` in a name is a `$`
def _draw_grid(models: dict, videos: Sequence, draw: Callable) -> Figure:
    """A row a video, a column a model.

    Raises:
        ValueError: The models do not agree on a video's label.
    """
    figure = Figure(figsize=(4.4 * len(models), 0.4 + 1.7 * len(videos)))
    figure.set_layout_engine('constrained', w_pad=0.12, h_pad=0.1)
    rows = figure.subfigures(len(videos), 1, squeeze=False)[:, 0]
    for row, name in zip(rows, videos):
        labels = set()
        for axis, (title, results) in zip(
            row.subplots(1, len(models), squeeze=False)[0], models.items()
        ):
            video = find_video(results, name)
            first, end = results.video_offsets[video : video + 2]
            label = int(results.labels[video])
            labels.add(label)
            scores = results.clip_scores[first:end]
            draw(axis, class_names(results), scores, label)
            axis.set_title(title, fontsize=9)
        if len(labels) > 1:
            raise ValueError(f'{name}: the models were tested on other labels')
        row.suptitle(
            f'{PurePath(name).stem}: {shorten(class_names(results)[label])}',
            fontsize=9,
            fontweight='bold',
        )
    return figure


def draw_votes(models: dict, videos: Sequence) -> Figure:
    """Distribution of the clips' votes (Fig. 7 of the paper).

    Args:
        models (dict[str, ClipResults]): Per-clip results by title, for
            example of a clip-level and a video-level model.
        videos (Sequence[str]): Names of videos, see :func:`find_video`.

    Returns:
        Figure: A row a video, a column a model. The five classes with most
        votes, the ground truth among them if it got any.

    Raises:
        ValueError: A video is not there, or its label differs.
    """
    return _draw_grid(models, videos, _draw_vote)


def draw_top_classes(models: dict, videos: Sequence) -> Figure:
    """The five highest class probabilities (Fig. 8 of the paper).

    A video's probability is the mean over its clips.

    Args:
        models (dict[str, ClipResults]): See :func:`draw_votes`.
        videos (Sequence[str]): See :func:`draw_votes`.

    Returns:
        Figure: A row a video, a column a model.

    Raises:
        ValueError: A video is not there, or its label differs.
    """
    return _draw_grid(models, videos, _draw_probabilities)

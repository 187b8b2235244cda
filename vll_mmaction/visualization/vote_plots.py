"""Votes of a video's clips and its class probabilities, as bars.

Figures 7 and 8 of Shi et al. 2020: a row a video, a column a model, the
ground truth in red.
"""

from collections.abc import Callable, Sequence
from pathlib import PurePath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluation import ClipResults

TRUE_COLOUR = '#d62728'
OTHER_COLOURS = ('#4c78a8', '#72a0c1', '#9ecae9', '#8c8c8c', '#bdbdbd')
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
    wanted = PurePath(name).parts

    def matches(filename: str) -> bool:
        path = PurePath(filename)
        spellings = (path, path.with_suffix('')) if path.name else (path,)
        return any(x.parts[-len(wanted) :] == wanted for x in spellings)

    found = [k for k, x in enumerate(results.filenames) if matches(str(x))]
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


def _scores(results: ClipResults, video: int) -> np.ndarray:
    """Clip scores of a video, (m, K)."""
    first, end = results.video_offsets[video : video + 2]
    return results.clip_scores[first:end]


def class_votes(results: ClipResults, video: int) -> np.ndarray:
    """Clips of a video that vote for each class.

    Args:
        results (ClipResults): Per-clip results.
        video (int): Number of the video.

    Returns:
        ndarray: (K,) int64.
    """
    scores = _scores(results, video)
    return np.bincount(scores.argmax(axis=1), minlength=scores.shape[1])


def class_names(results: ClipResults) -> list[str]:
    """Names of the classes, or their numbers where names are unknown.

    Args:
        results (ClipResults): Per-clip results.

    Returns:
        list[str]: One a class.
    """
    if len(results.class_names):
        return [str(name) for name in results.class_names]
    return [f'class {k}' for k in range(results.clip_scores.shape[1])]


def shorten(name: str) -> str:
    """A name of at most ``LONGEST_NAME`` letters."""
    short = name[: LONGEST_NAME - 1] + '…'
    return name if len(name) <= LONGEST_NAME else short


def _class_name(results: ClipResults, label: int) -> str:
    return shorten(class_names(results)[label])


def bars_with_texts(
    axis: Axes, values: np.ndarray, texts: Sequence, colours: Sequence
) -> np.ndarray:
    """Draw horizontal bars, each with a text at its end.

    Args:
        axis (Axes): Where to.
        values (ndarray): Lengths, (n,).
        texts (Sequence[str]): A text a bar.
        colours (Sequence): A colour a bar.

    Returns:
        ndarray: Heights of the bars' middles, (n,).
    """
    places = np.arange(len(values))
    axis.barh(places, values, height=0.7, color=colours)
    for place, value, text in zip(places, values, texts):
        axis.annotate(
            text,
            (value, place),
            xytext=(4, 0),
            textcoords='offset points',
            va='center',
            fontsize=8,
        )
    return places


def _bars(
    axis: Axes,
    results: ClipResults,
    video: int,
    classes: Sequence,
    values: np.ndarray,
    texts: Sequence,
) -> None:
    """Horizontal bars of some classes, the first on top."""
    label = results.labels[video]
    others = iter(OTHER_COLOURS * (len(classes) // len(OTHER_COLOURS) + 1))
    colours = [TRUE_COLOUR if k == label else next(others) for k in classes]
    places = bars_with_texts(axis, values, texts, colours)
    axis.set_yticks(places, [_class_name(results, k) for k in classes])
    for tick, k in zip(axis.get_yticklabels(), classes):
        if k == label:
            tick.set_color(TRUE_COLOUR)
    axis.tick_params(labelsize=8, length=0)
    axis.set_ylim(TOP - 0.5, -0.5)  # bars of one height everywhere
    axis.spines[['top', 'right', 'left']].set_visible(False)


def _draw_vote(axis: Axes, results: ClipResults, video: int) -> None:
    votes = class_votes(results, video)
    classes = np.argsort(-votes, kind='stable')
    classes = classes[votes[classes] > 0]
    shown = classes[:TOP]
    label = results.labels[video]
    if label in classes and label not in shown:
        shown = np.append(shown[:-1], label)
    texts = [str(votes[k]) for k in shown]
    _bars(axis, results, video, shown.tolist(), votes[shown], texts)
    left = len(classes) - len(shown)
    total = votes.sum()
    text = f'{total} clips' if total > 1 else '1 clip'
    if left:
        rest = total - votes[shown].sum()
        text += f'; {rest} for {left} other classes'
    axis.set_xlabel(text, fontsize=8)
    axis.set_xlim(0, total * 1.1)
    axis.set_xticks([])


def _draw_probabilities(axis: Axes, results: ClipResults, video: int) -> None:
    mean = _scores(results, video).mean(axis=0, dtype=np.float64)
    shown = np.argsort(-mean, kind='stable')[:TOP]
    texts = [f'{mean[k]:.2f}' for k in shown]
    _bars(axis, results, video, shown.tolist(), mean[shown], texts)
    axis.set_xlim(0, 1.1)
    axis.set_xticks([0, 0.5, 1])


def _draw_grid(models: dict, videos: Sequence, draw: Callable) -> Figure:
    """A row a video, a column a model.

    Raises:
        ValueError: The models do not agree on a video's label.
    """
    figure = Figure(figsize=(4.4 * len(models), 0.4 + 1.7 * len(videos)))
    figure.set_layout_engine('constrained', w_pad=0.12, h_pad=0.1)
    axes = figure.subplots(len(videos), len(models), squeeze=False)
    for row, name in zip(axes, videos):
        labels = set()
        for axis, results in zip(row, models.values()):
            video = find_video(results, name)
            labels.add(int(results.labels[video]))
            draw(axis, results, video)
        if len(labels) > 1:
            raise ValueError(f'{name}: the models were tested on other labels')
        row[0].set_title(
            f'{PurePath(name).stem}: {_class_name(results, labels.pop())}',
            loc='left',
            fontsize=9,
            fontweight='bold',
        )
    for axis, title in zip(axes[0], models):
        axis.annotate(
            title,
            (0.5, 1),
            xytext=(0, 24),
            xycoords='axes fraction',
            textcoords='offset points',
            ha='center',
            fontsize=11,
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

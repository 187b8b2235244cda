"""Per-clip results of one model or two, read for a picture or a page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Optional

import numpy as np

from ..evaluation import ClipResults, load_clip_results


def load_models(
    files: Sequence[str],
    titles: Optional[Sequence[str]] = None,
    class_file: Optional[str] = None,
) -> dict[str, ClipResults]:
    """Read the results of some models.

    Args:
        files (Sequence[str]): Files of :class:`ClipConsistencyMetric`.
        titles (Sequence[str], optional): A title for each. None means the
            names of their configs, or the files where these do not tell them
            apart.
        class_file (str, optional): Text file of class names, one a line, in
            place of the names in the results.

    Returns:
        dict[str, ClipResults]: Results by title.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file holds something else, or titles or class names do
            not fit.
    """
    loaded = [load_clip_results(str(x)) for x in files]
    if class_file is not None:
        names = _class_names(class_file)
        for results, file in zip(loaded, files):
            num_classes = results.clip_scores.shape[1]
            if len(names) != num_classes:
                raise ValueError(
                    f'{file} has {num_classes} classes, but {len(names)} '
                    f'names were given in {class_file}'
                )
        loaded = [replace(x, class_names=np.array(names)) for x in loaded]
    for results, file in zip(loaded, files):
        _check(results, file)
    if titles is None:
        titles = [str(x.config_name) for x in loaded]
        if len(set(titles)) < len(titles) or not all(titles):
            titles = [str(x) for x in files]
    if len(set(titles)) != len(titles) or len(titles) != len(loaded):
        raise ValueError('give each model a title of its own')
    return dict(zip(titles, loaded))


def _class_names(file: str) -> list[str]:
    try:
        lines = Path(file).read_text(encoding='utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{file} is no text file in UTF-8') from error
    return [line for line in lines if line]


def _check(results: ClipResults, file: str) -> None:
    """Refuse what no picture can show."""
    if not len(results):
        raise ValueError(f'{file} holds no videos')
    good = np.isfinite(results.clip_scores).all(axis=1)
    if not good.all():
        row = int(good.argmin())
        video = np.searchsorted(results.video_offsets, row, 'right') - 1
        raise ValueError(
            f'{file}: {int((~good).sum())} of {len(good)} clips have scores '
            'that are not numbers, the first of them in '
            f'{str(results.filenames[video])!r}. The model has diverged: '
            'test an earlier checkpoint'
        )
    num_classes = results.clip_scores.shape[1]
    if len(results.class_names) not in (0, num_classes):
        raise ValueError(
            f'{file} has {num_classes} classes, but names of '
            f'{len(results.class_names)}: give the right ones by --classes'
        )
    if results.labels.max() >= num_classes:
        raise ValueError(
            f'{file} has {num_classes} classes, but a video of label '
            f'{results.labels.max()}: was the model made for another data '
            'set?'
        )


def match_videos(models: dict[str, ClipResults]) -> dict[str, ClipResults]:
    """Bring the videos of all models into the order of the first.

    The models may have been tested on other clips of the same videos.

    Args:
        models (dict[str, ClipResults]): Results by title.

    Returns:
        dict[str, ClipResults]: The same, video k of each the same video.

    Raises:
        ValueError: Videos, labels or classes differ; names the first.
    """
    (first_title, first), *others = models.items()
    matched = {first_title: first}
    for title, results in others:
        both = f'{first_title!r} and {title!r}'
        _check_classes(first, results, both)
        order = _order(first, results, both)
        results = _take(results, order)
        differ = np.flatnonzero(results.labels != first.labels)
        if len(differ):
            video = differ[0]
            raise ValueError(
                f'{both} were tested with other labels: '
                f'{str(first.filenames[video])!r} (video {video}) has label '
                f'{first.labels[video]} in the one and '
                f'{results.labels[video]} in the other; {len(differ)} videos '
                'differ'
            )
        matched[title] = results
    # One of them may have been tested without names of classes.
    named = [x.class_names for x in matched.values() if len(x.class_names)]
    for title, results in matched.items():
        if named and not len(results.class_names):
            matched[title] = replace(results, class_names=named[0])
    return matched


def _check_classes(first: ClipResults, other: ClipResults, both: str) -> None:
    counts = [x.clip_scores.shape[1] for x in (first, other)]
    if counts[0] != counts[1]:
        raise ValueError(
            f'{both} have {counts[0]} and {counts[1]} classes: compare models '
            'of one data set'
        )
    if not len(first.class_names) or not len(other.class_names):
        return
    differ = np.flatnonzero(first.class_names != other.class_names)
    if len(differ):
        k = differ[0]
        raise ValueError(
            f'{both} have other class names: class {k} is '
            f'{str(first.class_names[k])!r} in the one and '
            f'{str(other.class_names[k])!r} in the other'
        )


def _order(first: ClipResults, other: ClipResults, both: str) -> np.ndarray:
    """Where each video of ``first`` is in ``other``, (V,) int64."""
    if np.array_equal(first.filenames, other.filenames):
        return np.arange(len(first))
    ours, theirs = first.filenames.tolist(), other.filenames.tolist()
    places = {name: k for k, name in enumerate(theirs)}
    only_ours = [x for x in ours if x not in places]
    only_theirs = set(theirs).difference(ours)
    if only_ours or only_theirs:
        some = only_ours[:1] + sorted(only_theirs)[:1]
        raise ValueError(
            f'{both} were tested on other videos: {len(only_ours)} are only '
            f'in the one, {len(only_theirs)} only in the other, among them '
            f'{" and ".join(map(repr, some))}'
        )
    if len(ours) != len(places) or len(theirs) != len(places):
        raise ValueError(
            f'{both} list their videos in another order, and some have one '
            'name: they cannot be matched'
        )
    return np.array([places[name] for name in ours])


def _take(results: ClipResults, order: np.ndarray) -> ClipResults:
    """The videos in another order."""
    if np.array_equal(order, np.arange(len(results))):
        return results

    def gather(
        values: np.ndarray, offsets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.diff(offsets)[order]
        parts = np.split(values, offsets[1:-1])
        return np.concatenate([parts[k] for k in order]), np.cumsum(
            [0, *lengths]
        )

    scores, video_offsets = gather(results.clip_scores, results.video_offsets)
    frames, frame_offsets = gather(results.frame_inds, results.frame_offsets)
    weights = results.clip_weights
    if weights.size:
        weights, _ = gather(weights, results.video_offsets)
    return replace(
        results,
        clip_scores=scores,
        video_offsets=video_offsets,
        frame_inds=frames,
        frame_offsets=frame_offsets,
        labels=results.labels[order],
        filenames=results.filenames[order],
        total_frames=results.total_frames[order],
        views_per_clip=results.views_per_clip[order],
        clip_weights=weights,
    )

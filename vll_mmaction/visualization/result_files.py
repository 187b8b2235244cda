"""Per-clip results of one model or two, read for a picture or a page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Optional

import numpy as np

from ..evaluation import ClipResults, load_clip_results
from ..evaluation.class_names import find_class_names, read_class_names
from .thumbnails import common_folder


def load_models(
    files: Sequence[str],
    titles: Optional[Sequence[str]] = None,
    class_file: Optional[str] = None,
    video_root: str = '',
) -> dict[str, ClipResults]:
    """Read the results of some models.

    Args:
        files (Sequence[str]): Files of :class:`ClipConsistencyMetric`.
        titles (Sequence[str], optional): A title for each. None means the
            names of their configs, or the files where these do not tell them
            apart.
        class_file (str, optional): Text file of class names, one a line, in
            place of the names in the results. None means ``label_map.txt``
            or ``classes.txt`` in a folder above the videos, if the results
            hold no names.
        video_root (str): Folder of the videos where they are not where the
            results say. Defaults to ''.

    Returns:
        dict[str, ClipResults]: Results by title.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file holds something else, or titles or class names do
            not fit.
    """
    loaded = [load_clip_results(str(x)) for x in files]
    if class_file is not None:
        names = read_class_names(class_file)
        for results, file in zip(loaded, files):
            num_classes = results.clip_scores.shape[1]
            if len(names) != num_classes:
                raise ValueError(
                    f'{file} has {num_classes} classes, but {len(names)} '
                    f'names were given in {class_file}'
                )
        loaded = [replace(x, class_names=np.array(names)) for x in loaded]
    else:
        loaded = [
            x if x.class_names.size else _with_found_names(x, video_root)
            for x in loaded
        ]
    for results, file in zip(loaded, files):
        _check(results, file)
    if titles is None:
        titles = [str(x.config_name) for x in loaded]
        if len(set(titles)) < len(titles) or not all(titles):
            titles = [str(x) for x in files]
    if len(set(titles)) != len(titles) or len(titles) != len(loaded):
        raise ValueError('give each model a title of its own')
    return dict(zip(titles, loaded))


def _with_found_names(results: ClipResults, video_root: str) -> ClipResults:
    """The results with names of a data set's own file, if there is one."""
    folder = video_root or common_folder(results.filenames.tolist())
    if not folder:
        return results
    for parent in (Path(folder), *Path(folder).parents):
        names = find_class_names(parent, results.clip_scores.shape[1])
        if names:
            return replace(results, class_names=np.array(names))
    return results


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
    if results.labels.min() < 0 <= results.labels.max():
        raise ValueError(
            f'{file} holds some videos without labels, the first of them '
            f'{str(results.filenames[results.labels.argmin()])!r}: test them '
            'in a list of their own'
        )
    if results.labels.max() >= num_classes:
        raise ValueError(
            f'{file} has {num_classes} classes, but a video of label '
            f'{results.labels.max()}: was the model made for another data '
            'set?'
        )


def match_videos(models: dict[str, ClipResults]) -> dict[str, ClipResults]:
    """See that all models, by title, were tested on the same videos.

    Their clips may differ. Names of classes may be known to some only; in what
    is returned all models have them.

    Raises:
        ValueError: Videos, labels or classes differ; names the first.
    """
    first_title, *others = models
    first = models[first_title]
    for title in others:
        both = f'{first_title!r} and {title!r}'
        _check_classes(first, models[title], both)
        _check_equal('filenames', first, models[title], both)
        _check_equal('labels', first, models[title], both)
    named = [x.class_names for x in models.values() if len(x.class_names)]
    names = named[0] if named else first.class_names
    return {k: replace(x, class_names=names) for k, x in models.items()}


def _check_equal(
    what: str, first: ClipResults, other: ClipResults, both: str
) -> None:
    ours, theirs = getattr(first, what), getattr(other, what)
    if len(ours) != len(theirs):
        raise ValueError(
            f'{both} were tested on {len(ours)} and {len(theirs)} videos'
        )
    differ = np.flatnonzero(ours != theirs)
    if len(differ):
        k = differ[0]
        raise ValueError(
            f'{both} were tested with other {what}, or in another order: '
            f'video {k} ({str(first.filenames[k])!r}) has {ours[k]} in the '
            f'one and {theirs[k]} in the other; {len(differ)} differ'
        )


def _check_classes(first: ClipResults, other: ClipResults, both: str) -> None:
    counts = [x.clip_scores.shape[1] for x in (first, other)]
    if counts[0] != counts[1]:
        raise ValueError(
            f'{both} have {counts[0]} and {counts[1]} classes: compare models '
            'of one data set'
        )
    # Names may be known to one of them only.
    for k, (a, b) in enumerate(zip(first.class_names, other.class_names)):
        if a != b:
            raise ValueError(
                f'{both} have other class names: class {k} is {str(a)!r} in '
                f'the one and {str(b)!r} in the other'
            )

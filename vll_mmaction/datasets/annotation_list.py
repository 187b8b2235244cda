"""Reads annotation lists and checks every line; knows nothing of clips.

A list names a video a line and ends each line in its label. A bad line is an
error that names file and line, before anything is read.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
from mmengine.fileio import list_from_file
from mmengine.logging import print_log

# How many bad videos are named where a file lists all.
MAX_LISTED = 50


@dataclass(frozen=True)
class AnnotationList:
    """The videos of an annotation file, a column for each thing it says.

    Args:
        ann_file (str): The file.
        names (Sequence[str]): Paths as they stand in the file.
        labels (np.ndarray): (num_videos,) int64.
        lines (np.ndarray): (num_videos,) int64, from 1.
        numbers (dict[str, np.ndarray]): Further columns by name,
            (num_videos,) int64.
    """

    ann_file: str
    names: Sequence[str]
    labels: np.ndarray
    lines: np.ndarray
    numbers: dict[str, np.ndarray]

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.lines)


def read_annotation_list(
    ann_file: str,
    num_classes: Optional[int] = None,
    delimiter: Optional[str] = None,
    numbers: Sequence[str] = (),
    labelled: bool = True,
) -> AnnotationList:
    """Read an annotation file, checking each line.

    Args:
        ann_file (str): The file; lines are ``path [number ...] label``. A
            path may hold spaces.
        num_classes (int, optional): Labels must be below. Defaults to None.
        delimiter (str, optional): What separates the fields. None means white
            space. Defaults to None.
        numbers (Sequence[str]): Names of the whole numbers between path and
            label. Defaults to ().
        labelled (bool): Whether lines end in a label. Without, all labels are
            -1. Defaults to True.

    Returns:
        AnnotationList: Its videos, at least one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no UTF-8, lists no videos, or a line is bad; the
            message names file and line.
    """
    fields_wanted = ['path', *numbers, *['label'] * labelled]
    wanted = (delimiter or ' ').join(fields_wanted)
    names, rows = [], []
    for number, line in enumerate(_lines(ann_file), 1):
        line = line.strip()
        if not line:
            continue
        where = f'{ann_file}, line {number}'
        # From the right, since a path may hold the delimiter.
        name, *fields = line.rsplit(delimiter, len(fields_wanted) - 1)
        name = name.strip()
        if len(fields) < len(fields_wanted) - 1 or not name:
            raise ValueError(
                f'{where}: {line!r} has too few fields. Wanted: {wanted}'
            )
        label = -1
        if labelled:
            label = _parse_label(fields.pop(), where, wanted, num_classes)
        for key, value in zip(numbers, fields):
            if not value.isdecimal():
                raise ValueError(
                    f'{where}: {key} {value!r} is not a whole number. '
                    f'Wanted: {wanted}'
                )
        names.append(name)
        rows.append([number, label, *map(int, fields)])
    if not names:
        raise ValueError(f'{ann_file} lists no videos.')
    lines, labels, *columns = np.array(rows, dtype=np.int64).T.copy()
    return AnnotationList(
        ann_file, names, labels, lines, dict(zip(numbers, columns))
    )


def media_folder(data_prefix: dict, key: str) -> str:
    """Folder to which the paths of a list are relative.

    Args:
        data_prefix (dict): Of the dataset.
        key (str): What its folder goes by.

    Returns:
        str: The folder; '' where the list has whole paths.

    Raises:
        ValueError: There is another key in its place.
    """
    if data_prefix and key not in data_prefix:
        raise ValueError(
            f'data_prefix={data_prefix} has no {key!r}, which is the folder '
            f'of the videos here: write data_prefix=dict({key}=...).'
        )
    return data_prefix.get(key) or ''


def _lines(ann_file: str) -> list[str]:
    try:
        lines = list_from_file(ann_file)
    except FileNotFoundError:
        raise FileNotFoundError(
            f'There is no annotation file {ann_file}. Set ann_file and '
            'data_root of the dataset, or make it: a line path label a video.'
        ) from None
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b'\n') + 1
        raise ValueError(
            f'{ann_file}, line {number}: {error}. Save the file as UTF-8.'
        ) from None
    # Some editors lead UTF-8 with a mark, which is not part of the path.
    lines[:1] = [line.lstrip('\ufeff') for line in lines[:1]]
    return lines


def _parse_label(
    text: str, where: str, wanted: str, limit: Optional[int]
) -> int:
    try:
        label = int(text)
    except ValueError:
        raise ValueError(
            f'{where}: the label {text!r} is not a whole number. '
            f'Wanted: {wanted}'
        ) from None
    if label < 0 or (limit is not None and label >= limit):
        allowed = 'at least 0' if limit is None else f'0 to {limit - 1}'
        raise ValueError(
            f'{where}: the label {label} is out of range ({allowed}). '
            'Correct the line, or `num_classes` in the config.'
        )
    return label


def report_bad_videos(
    bad: Sequence[str], total: int, max_bad_videos: float, report: str = ''
) -> None:
    """Say which videos of a list cannot be used; stop if they are too many.

    Args:
        bad (Sequence[str]): Those videos, each with its reason. None is none.
        total (int): Number of all videos.
        max_bad_videos (float): Share of bad videos that is allowed, 0 to 1.
        report (str): File that lists them, too. Defaults to ''.

    Raises:
        ValueError: They are more than that, or all.
    """
    if not bad:
        return
    shown = list(bad[:MAX_LISTED] if report else bad)
    if len(shown) < len(bad):
        shown.append(f'and {len(bad) - len(shown)} more')
    listed = '\n  '.join(shown)
    message = f'{len(bad)} of {total} videos cannot be used:\n  {listed}'
    if report:
        message += f'\nThe full list is in {report}.'
    if len(bad) > max_bad_videos * total or len(bad) == total:
        raise ValueError(
            f'{message}\nThat is more than max_bad_videos='
            f'{max_bad_videos:g} of them. Correct the annotation file or the '
            'videos, or raise max_bad_videos.'
        )
    print_log(
        f'{message}\nThey are left out.', 'current', level=logging.WARNING
    )

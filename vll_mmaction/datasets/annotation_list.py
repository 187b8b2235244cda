"""Reads annotation lists and checks every line; knows nothing of clips.

A list names a video a line and ends each line in its label. A bad line is an
error that names file and line, before anything is read.
"""

import codecs
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
from mmengine.fileio import get
from mmengine.logging import print_log

from ..video_io.columns import TextColumn

# How many bad videos are named where a file lists all.
MAX_LISTED = 50


@dataclass(frozen=True)
class AnnotationList:
    """The videos of an annotation file, a column for each thing it says.

    Args:
        ann_file (str): The file.
        names (TextColumn): Paths as they stand in the file.
        labels (np.ndarray): (num_videos,) int64.
        lines (np.ndarray): (num_videos,) int64, from 1.
        numbers (dict[str, np.ndarray]): Further columns by name,
            (num_videos,) int64.
    """

    ann_file: str
    names: TextColumn
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
    raw = _read(ann_file)
    text = np.frombuffer(raw, np.uint8)
    breaks = np.flatnonzero(text == ord('\n'))
    starts = np.concatenate([[0], breaks + 1])
    ends = np.concatenate([breaks, [len(text)]])
    plain, name_ends, *columns = _parse_plain(
        text, starts, ends, delimiter or ' ', len(numbers) + labelled
    )
    if not labelled:
        columns.append(np.full(len(ends), -1))
    elif num_classes is not None:
        plain &= columns[-1] < num_classes
    for row in np.flatnonzero(~plain & (ends > starts)).tolist():
        line = raw[starts[row] : ends[row]].decode()
        parsed = _parse_line(
            line.strip(),
            f'{ann_file}, line {row + 1}',
            delimiter,
            numbers,
            num_classes,
            labelled,
        )
        if parsed is not None:
            name, *values = parsed
            encoded = name.encode()
            starts[row] += raw[starts[row] : ends[row]].find(encoded)
            name_ends[row] = starts[row] + len(encoded)
            plain[row] = True
            for column, value in zip(columns, values):
                column[row] = value
    lines = np.flatnonzero(plain)
    if not len(lines):
        raise ValueError(f'{ann_file} lists no videos.')
    *values, labels = (column[lines] for column in columns)
    return AnnotationList(
        ann_file,
        TextColumn(text, starts[lines], name_ends[lines]),
        labels,
        lines + 1,
        dict(zip(numbers, values)),
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


def _read(ann_file: str) -> bytes:
    """A file, checked to be UTF-8, with line ends of one kind."""
    try:
        raw = get(ann_file)
        if not raw.isascii():
            raw.decode()
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
    while raw.startswith(codecs.BOM_UTF8):
        raw = raw[len(codecs.BOM_UTF8) :]
    if b'\r' in raw:
        raw = raw.replace(b'\r\n', b'\n').replace(b'\r', b'\n')
    return raw


def _parse_plain(
    text: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    delimiter: str,
    num_fields: int,
) -> tuple[np.ndarray, ...]:
    """Parse the lines of a million that need no second look, all at once.

    These are a path that begins and ends in a visible character of ASCII, and
    whole numbers of up to nine digits, one delimiter before each.

    Args:
        text (np.ndarray): (n,) uint8, the file.
        starts (np.ndarray): (lines,) int64, where each line begins.
        ends (np.ndarray): (lines,) int64, where it ends.
        delimiter (str): What separates the fields.
        num_fields (int): How many numbers follow the path.

    Returns:
        tuple[np.ndarray, ...]: (lines,) each: bool, whether a line is of that
        kind, int64, where its path ends, and int64, the numbers.
    """
    plain = ends > starts
    fields: list[np.ndarray] = []
    place = ends - 1
    if (
        len(delimiter) > 1
        or not '!' <= delimiter <= '/'
        and delimiter
        not in (
            ' ',
            '\t',
        )
    ):
        plain[:] = False
    for _ in range(num_fields):
        value, digits = np.zeros_like(ends), np.zeros(len(ends), np.int8)
        rows = np.flatnonzero(plain)
        for power in range(10):
            rows = rows[place[rows] > starts[rows]]
            digit = text[place[rows]] - np.uint8(ord('0'))
            is_digit = digit < 10
            rows = rows[is_digit]
            value[rows] += digit[is_digit].astype(np.int64) * 10**power
            digits[rows] += 1
            place[rows] -= 1
            if not len(rows):
                break
        plain &= (digits > 0) & (digits < 10)
        plain[plain] &= text[place[plain]] == ord(delimiter[0])
        fields.insert(0, value)
        place -= 1
    plain &= place >= starts
    for edge in (starts, place):
        visible = text[edge[plain]] - np.uint8(33)
        plain[plain] &= visible < 94
    return plain, place + 1, *fields


def _parse_line(
    line: str,
    where: str,
    delimiter: Optional[str],
    numbers: Sequence[str],
    num_classes: Optional[int],
    labelled: bool,
) -> Optional[tuple]:
    """Path and numbers of any line; None if it is empty."""
    if not line:
        return None
    fields_wanted = ['path', *numbers, *['label'] * labelled]
    wanted = (delimiter or ' ').join(fields_wanted)
    # From the right, since a path may hold the delimiter.
    name, *fields = line.rsplit(delimiter, len(fields_wanted) - 1)
    name = name.strip()
    if len(fields) < len(fields_wanted) - 1 or not name:
        more = '. Without labels, test by labelled=False' if labelled else ''
        raise ValueError(
            f'{where}: {line!r} has too few fields. Wanted: {wanted}{more}.'
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
    return name, *map(int, fields), label


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

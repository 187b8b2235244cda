"""One page about how the clips of each video vote, for one model or two.

The page holds all its data, style and script; beside it lie a folder of
thumbnails and tables. It opens from disk and asks nothing of the network.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..evaluation import ClipResults
from .report_page import GENERATOR, page_data, render
from .result_files import match_videos
from .result_tables import make_tables, write_tables
from .thumbnails import clip_frames, find_videos, make_strips, remove_others
from .vote_summary import VideoVotes

PAGE = 'index.html'
PREDICTIONS = 'videos.csv'
THUMBS = 'thumbs'


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        page (Path): The page, or the table where there is no page.
        num_videos (int): Videos on it.
        problems (dict[str, str]): Why a video has no thumbnails, by its name
            in the results.
    """

    page: Path
    num_videos: int
    problems: dict[str, str]


def write_report(
    models: dict[str, ClipResults], out: Path, video_root: str = ''
) -> Report:
    """Write the page, its tables and its thumbnails.

    Of videos without labels a table of the predictions is all there is.

    Args:
        models (dict[str, ClipResults]): Results of one model or two, by
            title.
        out (Path): Folder to write to; empty, or of an earlier report, whose
            thumbnails are used again.
        video_root (str): Folder of the videos where they are not where the
            results say. Defaults to ''.

    Returns:
        Report: What was written.

    Raises:
        ValueError: ``out`` holds something else, or the models were tested
            on other videos, labels or classes.
    """
    if not 1 <= len(models) <= 2:
        raise ValueError(f'a page shows one model or two, not {len(models)}')
    if video_root and not os.path.isdir(video_root):
        raise ValueError(f'there is no folder {video_root!r} of videos')
    models = match_videos(models)
    check_folder(out)
    names = [str(x) for x in next(iter(models.values())).filenames]
    votes = {title: VideoVotes(x) for title, x in models.items()}
    # Two models go by A and B, one by ''.
    letters = dict(zip('AB' if len(votes) > 1 else [''], votes.values()))
    tables = make_tables(letters)
    if not all(x.labelled for x in votes.values()):
        write_tables(tables, out)
        (out / PAGE).unlink(missing_ok=True)
        return Report(out / PREDICTIONS, len(names), {})
    shown = {
        title: [clip_frames(results, video) for video in range(len(names))]
        for title, results in models.items()
    }
    wanted = []
    for frames in zip(*shown.values()):
        known = [x for x in frames if x is not None]
        wanted.append(np.unique(np.concatenate(known)) if known else None)
    strips = make_strips(
        names, find_videos(names, video_root), wanted, out / THUMBS
    )
    problems = {
        name or f'video {number}': strip.reason
        for number, (name, strip) in enumerate(zip(names, strips))
        if strip.reason
    }
    data = page_data(votes, strips)
    for model, own in zip(data['models'], shown.values()):
        # The frame of each clip, and its place in the strip.
        model['frames'] = [[] if x is None else x.tolist() for x in own]
        model['places'] = [
            [] if x is None or all_ is None else all_.searchsorted(x).tolist()
            for x, all_ in zip(own, wanted)
        ]
    temporary = out / f'{PAGE}.tmp'
    # Names from elsewhere may hold letters that no encoding knows.
    temporary.write_text(
        render(list(votes), letters, data, problems, list(tables)),
        encoding='utf-8',
        errors='xmlcharrefreplace',
    )
    os.replace(temporary, out / PAGE)
    write_tables(tables, out)
    remove_others(out / THUMBS, strips)
    return Report(out / PAGE, len(names), problems)


def check_folder(out: Path) -> None:
    """Refuse a file, or a folder that holds anything but a report."""
    if out.exists() and not out.is_dir():
        raise ValueError(f'{out} is a file: --out names a folder')
    for name, begin in ((PAGE, GENERATOR), (PREDICTIONS, 'file,prediction')):
        if (out / name).exists():
            with open(out / name, encoding='utf-8', errors='replace') as file:
                if begin in file.read(999):
                    return
    # A run that was stopped left thumbnails; a system, hidden files.
    others = [
        x.name
        for x in (sorted(out.iterdir()) if out.exists() else ())
        if x.name != THUMBS and not x.name.startswith('.')
    ]
    if others:
        raise ValueError(
            f'{out} holds other files ({", ".join(others[:3])}): name an '
            'empty folder, or that of an earlier report'
        )

"""One page about how the clips of each video vote, for one model or two.

The page holds all its data, style and script; beside it lie a folder of
thumbnails and tables. It opens from disk and asks nothing of the network.
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import jinja2
import numpy as np
from markupsafe import Markup

from ..evaluation import ClipResults
from . import report_plots, vote_summary
from .result_files import match_videos
from .result_tables import make_tables, write_tables
from .thumbnails import (
    Strip,
    clip_frames,
    find_videos,
    make_strips,
    remove_others,
)
from .vote_plots import TOP, class_names
from .vote_summary import VideoVotes

PAGE = 'index.html'
PREDICTIONS = 'videos.csv'
THUMBS = 'thumbs'
GENERATOR = 'vll_mmaction vote report'
TEMPLATES = Path(__file__).parent / 'templates'
FIGURES = (
    # Name, meaning, unit of VideoVotes.parts.
    ('Right by vote', "videos; the paper's accuracy", '%'),
    ('Right by mean', 'videos, by mean probability', '%'),
    ('Clips right', 'each on its own', '%'),
    ('Agreement', 'clips voting for the winner', '%'),
    ('Distance', 'between scores of two clips', ''),
)


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
    tables = make_tables(by_letter(votes))
    if not all(x.labelled for x in votes.values()):
        write_tables(tables, out)
        (out / PAGE).unlink(missing_ok=True)
        return Report(out / PREDICTIONS, len(names), {})
    shown = [
        [clip_frames(results, video) for video in range(len(names))]
        for results in models.values()
    ]
    wanted = [_union(frames) for frames in zip(*shown)]
    strips = make_strips(
        names, find_videos(names, video_root), wanted, out / THUMBS
    )
    problems = {
        name or f'video {number}': strip.reason
        for number, (name, strip) in enumerate(zip(names, strips))
        if strip.reason
    }
    data = page_data(votes, strips)
    for model, frames in zip(data['models'], shown):
        # The frame of each clip, and its place in the strip.
        model['frames'] = [[] if x is None else x.tolist() for x in frames]
        model['places'] = [
            [] if x is None or all_ is None else all_.searchsorted(x).tolist()
            for x, all_ in zip(frames, wanted)
        ]
    temporary = out / f'{PAGE}.tmp'
    # Names from elsewhere may hold letters that no encoding knows.
    temporary.write_text(
        render(votes, data, problems, list(tables)),
        encoding='utf-8',
        errors='xmlcharrefreplace',
    )
    os.replace(temporary, out / PAGE)
    write_tables(tables, out)
    remove_others(out / THUMBS, strips)
    return Report(out / PAGE, len(names), problems)


def check_folder(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier report.

    Args:
        out (Path): The folder, which need not be there.

    Raises:
        ValueError: It is a file, or holds files but no report.
    """
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


def by_letter(votes: dict[str, VideoVotes]) -> dict[str, VideoVotes]:
    """Two models as A and B, one by ``''``."""
    return dict(zip('AB' if len(votes) > 1 else [''], votes.values()))


def _union(frames: Sequence[Optional[np.ndarray]]) -> Optional[np.ndarray]:
    """Frames that any model's clips show, ascending, each once."""
    known = [x for x in frames if x is not None]
    return np.unique(np.concatenate(known)) if known else None


def page_data(votes: dict[str, VideoVotes], strips: Sequence[Strip]) -> dict:
    """What the list of videos is drawn from, as plain numbers and text.

    Columns rather than a record a video, and whole percents: the page stays
    small with tens of thousands of clips.

    Args:
        votes (dict[str, VideoVotes]): Votes of one model or two.
        strips (Sequence[Strip]): Thumbnails of the videos.

    Returns:
        dict: Read by ``vote_report.js``.
    """
    results = next(iter(votes.values())).results
    return dict(
        classes=class_names(results),
        names=[str(name) for name in results.filenames],
        labels=results.labels.tolist(),
        thumbs=[strip.name for strip in strips],
        models=[_model_data(title, own) for title, own in votes.items()],
    )


def _clip_weights(votes: VideoVotes) -> list[list[float]]:
    """Weight of each clip by attention; no videos where the head has none."""
    results = votes.results
    if not results.clip_weights.size:
        return []
    weights = results.split(results.clip_weights.astype(np.float64))
    return [
        x.reshape(-1, views).sum(axis=1).round(3).tolist()
        for x, views in zip(weights, results.views_per_clip)
    ]


def _model_data(title: str, votes: VideoVotes) -> dict:
    sure = np.rint(100 * votes.results.clip_scores.max(axis=1)).astype(int)
    split = votes.results.split
    top = np.argsort(-votes.scores, axis=1, kind='stable')[:, :TOP]
    # The ground truth is always among the classes shown.
    missing = (top != votes.labels[:, None]).all(axis=1)
    top[missing, -1] = votes.labels[missing]
    means = np.take_along_axis(votes.means, top, axis=1)
    return dict(
        title=title,
        winners=votes.winners.tolist(),
        agreement=votes.agreement.round(3).tolist(),
        truth=votes.probability(votes.labels).round(4).tolist(),
        votes=[x.tolist() for x in split(votes.votes)],
        sure=[x.tolist() for x in split(sure)],
        views=votes.results.views_per_clip.tolist(),
        weights=_clip_weights(votes),
        top=top.tolist(),
        top_means=means.round(2).tolist(),
    )


def render(
    votes: dict[str, VideoVotes],
    data: dict,
    problems: dict[str, str],
    files: Sequence[str],
) -> str:
    """The page.

    Args:
        votes (dict[str, VideoVotes]): Votes of one model or two, by title.
        data (dict): See :func:`page_data`.
        problems (dict[str, str]): Why a video has no thumbnails.
        files (Sequence[str]): Names of the tables beside it.

    Returns:
        str: HTML. All that comes from the results is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Escapes what could end the <script> that it is put into.
    environment.policies['json.dumps_kwargs'] = dict(
        separators=(',', ':'), allow_nan=False
    )
    script = (TEMPLATES / 'vote_report.js').read_text(encoding='utf-8')
    digest = hashlib.sha256(script.encode()).digest()
    models = by_letter(votes)
    matrices = [vote_summary.confusion(x) for x in models.values()]
    tables = [vote_summary.class_table(x) for x in models.values()]
    return environment.get_template('vote_report.html.j2').render(
        generator=GENERATOR,
        style=Markup((TEMPLATES / 'vote_report.css').read_text('utf-8')),
        script=Markup(script),
        script_hash=base64.b64encode(digest).decode(),
        data=data,
        problems=problems,
        files=files,
        titles=dict(zip(models, votes)),
        num_clips={k: int(x.sizes.sum()) for k, x in models.items()},
        figures=_figures(list(models.values())),
        changes=_changes(list(models.values())),
        classes=[
            dict(
                label=label,
                name=name,
                figures=[_row(x, label) for x in tables],
            )
            for label, name in enumerate(data['classes'])
            if tables[0]['videos'][label]
        ],
        confusions=vote_summary.top_confusions(matrices),
        plots=_plots(models, matrices, data['classes']),
    )


def _row(table: dict[str, np.ndarray], label: int) -> dict:
    return {name: column[label].item() for name, column in table.items()}


def _figures(models: Sequence[VideoVotes]) -> list[dict]:
    """The figures of each model, and the change from one to the other."""
    parts = [x.parts() for x in models]
    values = [vote_summary.figures(x) for x in parts]
    rows: list[dict] = []
    for k, (name, meaning, unit) in enumerate(FIGURES):
        texts = [f'{_text(x[k], unit)} {unit}' for x in values]
        rows.append(dict(name=name, meaning=meaning, texts=texts, change=''))
    if len(models) > 1:
        ends = vote_summary.change_interval(parts[0], parts[1])
        for k, (row, (*_, unit)) in enumerate(zip(rows, FIGURES)):
            change, low, high = (
                _text(x[k], unit, '+') for x in (values[1] - values[0], *ends)
            )
            row['change'] = f'{change} ({low} to {high})'
    return rows


def _text(value: float, unit: str, sign: str = '') -> str:
    text = f'{100 * value:{sign}.1f}' if unit else f'{value:{sign}.3f}'
    return text.replace('-', '−')


def _changes(models: Sequence[VideoVotes]) -> list[dict]:
    """How many videos are right with A, with B; key of the list's filter."""
    if len(models) < 2:
        return []
    a, b = (x.right for x in models)
    return [
        dict(key=key, name=name, count=int(videos.sum()))
        for key, name, videos in (
            ('gained', 'only B right', ~a & b),
            ('lost', 'only A right', a & ~b),
            ('right', 'both right', a & b),
            ('wrong', 'both wrong', ~a & ~b),
        )
    ]


def _plots(
    models: dict[str, VideoVotes],
    matrices: Sequence[np.ndarray],
    names: Sequence[str],
) -> list[dict]:
    """The figures: title, what they show in words, address of the SVG."""
    plots: list[dict] = [
        dict(
            title=f'Confusion matrix {letter}',
            note='Videos by true class (rows) and voted class (columns); '
            'shaded by the root of the share of the row.',
            values='',
            figure=report_plots.draw_confusion(matrix, names),
        )
        for letter, matrix in zip(models, matrices)
    ]
    lines = {
        letter: vote_summary.accuracy_by_voters(x)
        for letter, x in models.items()
    }
    values = [
        f'{letter} {clips}: {_text(share, "%")} %'
        for letter, line in lines.items()
        for clips, share in line.items()
    ]
    plots.append(
        dict(
            title='Accuracy if only some clips vote',
            note='So many clips of each video, evenly spread, or all if it '
            'has fewer.',
            values=', '.join(values),
            figure=report_plots.draw_voters(lines),
        )
    )
    for plot in plots:
        plot['address'] = report_plots.svg_address(plot.pop('figure'))
    return plots

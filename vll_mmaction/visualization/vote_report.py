"""One page about how the clips of each video vote, for one model or two.

The page holds all its data, style and script; beside it lies a folder of
thumbnails. It opens from disk and asks nothing of the network.
"""

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import jinja2
import numpy as np
from markupsafe import Markup

from ..evaluation import ClipResults, consistency_figures
from . import summary_plots, vote_summary
from .result_files import match_videos
from .thumbnails import (
    OURS,
    Strip,
    clip_frames,
    find_videos,
    make_strips,
    remove_others,
)
from .vote_plots import TOP, class_names
from .vote_summary import VideoVotes

PAGE = 'index.html'
THUMBS = 'thumbs'
GENERATOR = 'vll_mmaction vote report'
TEMPLATES = Path(__file__).parent / 'templates'
SHOWN_PROBLEMS = 20
FIGURES = (
    # Key of consistency_figures, name, meaning, in percent?
    ('video_acc_vote', 'Right by vote', "videos; the paper's accuracy", True),
    ('video_acc_mean', 'Right by mean', 'videos, by mean probability', True),
    ('clip_acc', 'Clips right', 'each on its own', True),
    ('agreement', 'Agreement', 'clips voting for the winner', True),
    ('pairwise_distance', 'Distance', 'between scores of two clips', False),
)


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        page (Path): The page.
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
    """Write the page and its thumbnails.

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
    first = next(iter(models.values()))
    shown = [_shown_frames(x) for x in models.values()]
    wanted = [_union(frames) for frames in zip(*shown)]
    names = [str(name) for name in first.filenames]
    strips = make_strips(
        names, find_videos(names, video_root), wanted, out / THUMBS
    )
    problems = {
        name or f'video {number}': strip.reason
        for number, (name, strip) in enumerate(zip(names, strips))
        if strip.reason
    }
    page = render(models, shown, wanted, strips, problems)
    temporary = out / f'{PAGE}.tmp'
    # Names from elsewhere may hold letters that no encoding knows.
    temporary.write_text(page, encoding='utf-8', errors='xmlcharrefreplace')
    os.replace(temporary, out / PAGE)
    remove_others(out / THUMBS, strips)
    return Report(out / PAGE, len(first), problems)


def check_folder(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier report.

    Args:
        out (Path): The folder, which need not be there.

    Raises:
        ValueError: It is a file, or holds other files; names some.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f'{out} is a file: --out names a folder')
    others: list[Path] = []
    for entry in sorted(out.iterdir()) if out.exists() else ():
        if entry.name.startswith('.') or entry.name == f'{PAGE}.tmp':
            continue  # of the system; of a run that was cut short
        if entry.name == THUMBS and entry.is_dir():
            others += [
                x
                for x in sorted(entry.iterdir())
                if not OURS.fullmatch(x.name)
            ]
        elif entry.name != PAGE or not _is_ours(entry):
            others.append(entry)
    if others:
        some = ', '.join(str(x.relative_to(out)) for x in others[:3])
        more = f' and {len(others) - 3} more' if len(others) > 3 else ''
        raise ValueError(
            f'{out} holds other files ({some}{more}): name an empty folder, '
            'or that of an earlier report'
        )


def _is_ours(page: Path) -> bool:
    with open(page, 'rb') as file:
        return GENERATOR.encode() in file.read(1000)


def _shown_frames(results: ClipResults) -> list[Optional[np.ndarray]]:
    return [clip_frames(results, video) for video in range(len(results))]


def _union(frames: Sequence[Optional[np.ndarray]]) -> Optional[np.ndarray]:
    """Frames that any model's clips show, ascending, each once."""
    known = [x for x in frames if x is not None]
    return np.unique(np.concatenate(known)) if known else None


def render(
    models: dict[str, ClipResults],
    shown: Sequence[list],
    wanted: Sequence[Optional[np.ndarray]],
    strips: Sequence[Strip],
    problems: dict[str, str],
) -> str:
    """The page.

    Args:
        models (dict[str, ClipResults]): Results by title, video k of each
            the same video.
        shown (Sequence[list]): For each model, for each video, the frame
            shown of each clip, (clips,), or None.
        wanted (Sequence[ndarray | None]): Frames in the strip of each video.
        strips (Sequence[Strip]): Strip of each video.
        problems (dict[str, str]): Why a video has no strip.

    Returns:
        str: HTML. All that comes from the results is escaped.
    """
    votes = {
        title: vote_summary.count_votes(results)
        for title, results in models.items()
    }
    script = (TEMPLATES / 'vote_report.js').read_text(encoding='utf-8')
    digest = hashlib.sha256(script.encode()).digest()
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
    environment.filters['percent'] = _percent
    first = next(iter(models.values()))
    return environment.get_template('vote_report.html.j2').render(
        generator=GENERATOR,
        style=Markup((TEMPLATES / 'vote_report.css').read_text('utf-8')),
        script=Markup(script),
        script_hash=base64.b64encode(digest).decode(),
        data=page_data(models, votes, shown, wanted, strips),
        problems=list(problems.items())[:SHOWN_PROBLEMS],
        num_problems=len(problems),
        titles=list(models),
        num_videos=len(first),
        num_classes=first.clip_scores.shape[1],
        several_views=any(
            (x.views_per_clip > 1).any() for x in models.values()
        ),
        num_clips=[len(x.clip_scores) for x in models.values()],
        **_summary(models, votes),
    )


def page_data(
    models: dict[str, ClipResults],
    votes: dict[str, VideoVotes],
    shown: Sequence[list],
    wanted: Sequence[Optional[np.ndarray]],
    strips: Sequence[Strip],
) -> dict:
    """What the list of videos is drawn from, as plain numbers and text.

    Columns rather than a record a video, and whole percents: the page stays
    small with tens of thousands of clips.

    Args:
        models (dict[str, ClipResults]): See :func:`render`.
        votes (dict[str, VideoVotes]): Their votes.
        shown (Sequence[list]): See :func:`render`.
        wanted (Sequence[ndarray | None]): See :func:`render`.
        strips (Sequence[Strip]): See :func:`render`.

    Returns:
        dict: Read by ``vote_report.js``.
    """
    first = next(iter(models.values()))
    return dict(
        classes=class_names(first),
        names=[str(name) for name in first.filenames],
        labels=first.labels.tolist(),
        thumbs=[strip.name for strip in strips],
        columns=[strip.columns for strip in strips],
        rows=[strip.rows for strip in strips],
        aspects=[round(strip.aspect, 3) for strip in strips],
        models=[
            _model_data(title, results, votes[title], frames, wanted)
            for (title, results), frames in zip(models.items(), shown)
        ],
    )


def _model_data(
    title: str,
    results: ClipResults,
    votes: VideoVotes,
    shown: Sequence[Optional[np.ndarray]],
    wanted: Sequence[Optional[np.ndarray]],
) -> dict:
    middles = results.video_offsets[1:-1]
    top = np.argsort(-votes.means, axis=1, kind='stable')[:, :TOP]
    everyone = np.arange(len(results))
    truth = votes.means[everyone, results.labels]
    return dict(
        title=title,
        winners=votes.winners.tolist(),
        agreement=votes.agreement.round(3).tolist(),
        truth=truth.round(4).tolist(),
        votes=[x.tolist() for x in np.split(votes.votes, middles)],
        sure=[
            np.rint(100 * x).astype(int).tolist()
            for x in np.split(votes.sure, middles)
        ],
        views=results.views_per_clip.tolist(),
        top=top.tolist(),
        top_means=np.take_along_axis(votes.means, top, axis=1)
        .round(4)
        .tolist(),
        frames=[[] if x is None else x.tolist() for x in shown],
        # Where the frames are in the strip.
        places=[
            []
            if x is None or all_ is None
            else np.searchsorted(all_, x).tolist()
            for x, all_ in zip(shown, wanted)
        ],
    )


def _summary(
    models: dict[str, ClipResults], votes: dict[str, VideoVotes]
) -> dict:
    """What stands above the list."""
    names = class_names(next(iter(models.values())))
    pairs = [(models[title], votes[title]) for title in models]
    matrices = [vote_summary.confusion(*pair) for pair in pairs]
    tables = [vote_summary.class_table(*pair) for pair in pairs]
    figures = [consistency_figures(results) for results, _ in pairs]
    return dict(
        figures=[
            dict(
                name=name,
                meaning=meaning,
                values=[
                    f'{100 * x[key]:.1f} %' if percent else f'{x[key]:.3f}'
                    for x in figures
                ],
                change=_change([x[key] for x in figures], percent),
            )
            for key, name, meaning, percent in FIGURES
        ],
        changes=_changes(*pairs) if len(pairs) == 2 else [],
        classes=[
            dict(
                label=label,
                name=names[label],
                videos=row['videos'],
                models=[table[label] for table in tables],
            )
            for label, row in tables[0].items()
        ],
        confusions=[
            dict(true=true, voted=voted, counts=counts)
            for true, voted, counts in vote_summary.top_confusions(matrices)
        ],
        names=names,
        plots=_plots(models, votes, matrices, names),
    )


def _change(values: Sequence[float], percent: bool) -> str:
    """From A to B, ``''`` for one model."""
    if len(values) < 2:
        return ''
    change = values[1] - values[0]
    text = f'{100 * change:+.1f} points' if percent else f'{change:+.3f}'
    return text.replace('-', '−')


def _changes(pair: tuple, other: tuple) -> list[dict]:
    """How many videos are right with A, with B; key of the list's filter."""
    right = [
        votes.winners == results.labels for results, votes in (pair, other)
    ]
    counts = Counter(zip(*(x.tolist() for x in right)))
    return [
        dict(key='gained', name='only B right', count=counts[False, True]),
        dict(key='lost', name='only A right', count=counts[True, False]),
        dict(key='right', name='both right', count=counts[True, True]),
        dict(key='wrong', name='both wrong', count=counts[False, False]),
    ]


def _plots(
    models: dict[str, ClipResults],
    votes: dict[str, VideoVotes],
    matrices: Sequence[np.ndarray],
    names: Sequence[str],
) -> list[dict]:
    """The figures: title, note, SVG, and the same as a table."""
    letters = 'AB' if len(models) > 1 else ' '
    plots: list[dict] = []
    for letter, title, matrix in zip(letters, models, matrices):
        figure = summary_plots.draw_confusion(matrix, names)
        plots.append(
            dict(
                title=f'Confusion matrix {letter} {title}'
                if len(models) > 1
                else 'Confusion matrix',
                note='Videos by true class (rows) and the class that won '
                'the vote (columns); shaded by the root of the share of '
                'the row.',
                svg=figure,
                head=(),
                rows=(),
            )
        )
    first = next(iter(models.values()))
    sizes = np.diff(first.video_offsets)
    groups = vote_summary.length_groups(sizes)
    members = [(a <= sizes) & (sizes <= b) for a, b in groups]
    by_length = {
        title: [
            float((votes[title].winners == first.labels)[own].mean())
            for own in members
        ]
        for title in models
    }
    plots.append(
        dict(
            title='Accuracy by number of clips',
            note='Videos in groups of about one size.'
            + (' Clips as in A.' if len(models) > 1 else ''),
            svg=summary_plots.draw_by_length(groups, by_length),
            head=('Clips', 'Videos', *letters),
            rows=[
                (
                    summary_plots.group_name(*group),
                    int(own.sum()),
                    *(_percent(x[k]) for x in by_length.values()),
                )
                for k, (group, own) in enumerate(zip(groups, members))
            ],
        )
    )
    by_voters = {
        title: vote_summary.accuracy_by_voters(results)
        for title, results in models.items()
    }
    plots.append(
        dict(
            title='Accuracy if only some clips vote',
            note='So many clips of each video, evenly spread, or all if it '
            'has fewer.',
            svg=summary_plots.draw_by_voters(by_voters),
            head=('Clips', *letters),
            rows=[
                (
                    count,
                    *(
                        _percent(x[count]) if count in x else ''
                        for x in by_voters.values()
                    ),
                )
                for count in sorted(set().union(*by_voters.values()))
            ],
        )
    )
    calibrations = {
        title: vote_summary.calibration(results.labels, votes[title].means)
        for title, results in models.items()
    }
    errors = ', '.join(
        f'{letter} {_percent(error)}'.strip()
        for letter, (_, error) in zip(letters, calibrations.values())
    )
    plots.append(
        dict(
            title='Calibration',
            note='Share of right videos by the mean probability of their '
            'most probable class; on the dotted line the two are the same. '
            f'Expected calibration error: {errors}.',
            svg=summary_plots.draw_calibration(
                {title: bins for title, (bins, _) in calibrations.items()}
            ),
            head=('Model', 'Probability', 'Right', 'Videos'),
            rows=[
                (
                    letter,
                    _percent(x['confidence']),
                    _percent(x['accuracy']),
                    x['videos'],
                )
                for letter, (bins, _) in zip(letters, calibrations.values())
                for x in bins
            ],
        )
    )
    for number, plot in enumerate(plots):
        svg = summary_plots.to_svg(plot['svg'], f'figure{number}')
        plot['svg'] = Markup(svg)  # its texts are escaped by matplotlib
    return plots


def _percent(share: float) -> str:
    return f'{100 * share:.1f} %'

"""The report page as HTML: its data, its figures, its tables.

All that comes from the results is escaped.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from . import vote_summary
from .report_plots import draw_confusion, draw_voters, svg_address
from .thumbnails import Strip
from .vote_plots import TOP, class_names
from .vote_summary import VideoVotes

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


def page_data(votes: dict[str, VideoVotes], strips: Sequence[Strip]) -> dict:
    """What ``vote_report.js`` draws the list of videos from.

    Columns of plain numbers rather than a record a video, and whole percents:
    the page stays small with tens of thousands of clips.
    """
    results = next(iter(votes.values())).results
    return dict(
        classes=class_names(results),
        names=[str(name) for name in results.filenames],
        labels=results.labels.tolist(),
        thumbs=[strip.name for strip in strips],
        models=[_model_data(title, own) for title, own in votes.items()],
    )


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
        weights=[x.round(3).tolist() for x in votes.results.split_weights()],
        top=top.tolist(),
        top_means=means.round(2).tolist(),
    )


def render(
    titles: Sequence[str],
    models: dict[str, VideoVotes],
    data: dict,
    problems: dict[str, str],
    files: Sequence[str],
) -> str:
    """The page: of votes by letter, data of :func:`page_data`, why videos have
    no thumbnails, and the names of the tables beside it.
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
    matrices = {k: vote_summary.confusion(x) for k, x in models.items()}
    tables = [vote_summary.class_table(x) for x in models.values()]
    return environment.get_template('vote_report.html.j2').render(
        generator=GENERATOR,
        style=Markup((TEMPLATES / 'vote_report.css').read_text('utf-8')),
        script=Markup(script),
        script_hash=base64.b64encode(digest).decode(),
        data=data,
        problems=problems,
        files=files,
        titles=dict(zip(models, titles)),
        num_clips={k: int(x.sizes.sum()) for k, x in models.items()},
        figures=_figures(list(models.values())),
        changes=_changes(list(models.values())),
        classes=[
            dict(
                label=label,
                name=name,
                figures=[
                    {k: column[label].item() for k, column in table.items()}
                    for table in tables
                ],
            )
            for label, name in enumerate(data['classes'])
            if tables[0]['videos'][label]
        ],
        confusions=vote_summary.top_confusions(list(matrices.values())),
        plots=_plots(models, matrices, data['classes']),
    )


def _figures(models: Sequence[VideoVotes]) -> list[dict]:
    """The figures of each model, and the change from one to the other."""
    parts = [x.parts() for x in models]
    values = [vote_summary.figures(x) for x in parts]
    changes = None
    if len(models) > 1:
        ends = vote_summary.change_interval(parts[0], parts[1])
        changes = np.stack([values[1] - values[0], *ends], axis=1)
    rows = []
    for k, (name, meaning, unit) in enumerate(FIGURES):
        texts = [f'{_text(x[k], unit)} {unit}' for x in values]
        change = ''
        if changes is not None:
            middle, low, high = (_text(x, unit, '+') for x in changes[k])
            change = f'{middle} ({low} to {high})'
        rows.append(
            dict(name=name, meaning=meaning, texts=texts, change=change)
        )
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
    matrices: dict[str, np.ndarray],
    names: Sequence[str],
) -> list[dict]:
    """The figures: title, what they show in words, address of the SVG."""
    lines = {k: vote_summary.accuracy_by_voters(x) for k, x in models.items()}
    values = [
        f'{letter} {clips}: {_text(share, "%")} %'
        for letter, line in lines.items()
        for clips, share in line.items()
    ]
    return [
        dict(
            title=f'Confusion matrix {letter}',
            note='Videos by true class (rows) and voted class (columns); '
            'shaded by the root of the share of the row.',
            values='',
            address=svg_address(draw_confusion(matrix, names)),
        )
        for letter, matrix in matrices.items()
    ] + [
        dict(
            title='Accuracy if only some clips vote',
            note='So many clips of each video, evenly spread, or all if it '
            'has fewer.',
            values=', '.join(values),
            address=svg_address(draw_voters(lines)),
        )
    ]

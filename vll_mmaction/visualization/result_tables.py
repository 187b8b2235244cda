"""The report's numbers as CSV files, for spreadsheets and scripts."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from .vote_plots import class_names
from .vote_summary import VideoVotes, class_table, confusion


def make_tables(models: Mapping[str, VideoVotes]) -> dict[str, list]:
    """A row a video, a row a class, and the confusion matrices.

    Of videos without labels only the first, since nothing is right or wrong.

    Args:
        models (dict[str, VideoVotes]): Votes of one model by ``''``, or of
            two by the letters that end the names of their columns and files.

    Returns:
        dict[str, list]: Rows by the name of the file, names of columns
        first. Shares and probabilities are between 0 and 1.
    """
    first = next(iter(models.values()))
    names = class_names(first.results)
    videos: dict[str, Iterable] = dict(file=first.results.filenames)
    if first.labelled:
        videos['label'] = first.labels
        videos['class'] = [names[k] for k in first.labels]
    classes: dict[str, Iterable] = dict(label=range(len(names)), name=names)
    matrices: dict[str, list] = {}
    for letter, votes in models.items():
        end = f'_{letter}' if letter else ''
        columns = dict(
            prediction=votes.winners,
            predicted_class=[names[k] for k in votes.winners],
            votes=votes.winner_votes.astype(int),
            clips=votes.sizes,
            mean_probability=votes.probability(votes.winners).round(6),
        )
        if votes.labelled:
            truth = votes.probability(votes.labels)
            columns['label_probability'] = truth.round(6)
        videos.update({f'{k}{end}': x for k, x in columns.items()})
        if not votes.labelled:
            continue
        table = class_table(votes)
        classes['videos'] = table.pop('videos')
        classes.update({f'{k}{end}': x.round(6) for k, x in table.items()})
        # A row a true class, a column a voted one.
        matrices[f'confusion{end}.csv'] = [
            ['true class', *names],
            *([name, *row] for name, row in zip(names, confusion(votes))),
        ]
    tables = {'videos.csv': [list(videos), *zip(*videos.values())]}
    if first.labelled:
        tables['classes.csv'] = [list(classes), *zip(*classes.values())]
    return {**tables, **matrices}


def write_tables(tables: Mapping[str, list], out: Path) -> None:
    """Write tables as CSV files into a folder, in place of earlier ones."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ('videos.csv', 'classes.csv', 'confusion*.csv'):
        for earlier in out.glob(name):
            earlier.unlink()
    for name, rows in tables.items():
        # Names from elsewhere may hold letters that no encoding knows.
        with open(
            out / name,
            'w',
            encoding='utf-8',
            errors='backslashreplace',
            newline='',
        ) as file:
            csv.writer(file).writerows(rows)

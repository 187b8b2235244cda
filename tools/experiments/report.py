"""The runs of a table as Markdown and CSV, Figure 5, and a curve."""

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Optional

from .figures import draw_lines
from .measured import Measured, collect, difference
from .results import RULES
from .rows import Table
from .state import write_whole
from .stats import mean_and_std

COLUMNS = (
    'training',
    'paper',
    'measured',
    'runs',
    'difference to the first',
    'measured: mean probability',
    'measured: attention',
    'by its best rule, difference to the first by its',
    'measured: clips',
    'measured: agreement',
    'config, or source',
)
NOTE = (
    'Accuracies in percent; `measured` is that of the vote of the clips, the '
    "paper's metric, of the model after the last epoch: mean ± standard "
    'deviation over seeds. Differences: of the runs of the same seed and '
    'split or fold, with a 95% bootstrap interval over seeds and videos{one}. '
    'The best rule is that of vote, mean probability and attention by which '
    'a row has the most right videos. Empty: not run, or not in the paper.'
)
POOLED = (
    'The folds test different videos, and count as one test of all of them.'
)
ONE_SEED = (
    ' (of a row with one seed over videos only, which leaves out how much '
    'training itself scatters)'
)


def _runs(measured: Measured) -> str:
    if not measured.states:
        return ''
    folds = sorted({fold for _, fold in measured.states})
    word = next(iter(measured.runs.values())).fold_name
    text = str(len(measured.states))
    if word:
        text += f' ({word} {", ".join(map(str, folds))})'
    return text


def _difference(
    measured: Measured, baseline: Optional[Measured], best: bool = False
) -> str:
    if baseline is None or measured is baseline:
        return ''
    found = difference(measured, baseline, best)
    if found is None:
        return ''
    mean, low, high, pairs = found
    text = f'{mean:+.2f} [{low:+.2f}, {high:+.2f}]'
    if best:
        rules = (measured.best_rule, baseline.best_rule)
        return f'{text} ({" to ".join(rules)})'
    return f'{text}, {pairs} paired'


def _cells(measured: Measured, baseline: Optional[Measured]) -> list:
    row = measured.row
    return [
        row.name,
        '' if row.paper is None else f'{row.paper:g}',
        measured.spread('vote'),
        _runs(measured),
        _difference(measured, baseline),
        measured.spread('mean_prob'),
        measured.spread('attention'),
        _difference(measured, baseline, best=True),
        measured.spread('clip'),
        measured.spread('agreement'),
        row.source or (row.config and f'`{row.config}`'),
    ]


def _made_with(state: dict) -> str:
    versions = state['versions']
    processes = f'{state["gpus"]} processes' if state['gpus'] else 'no GPU'
    return (
        f'{versions["device"]}, {processes}, vll_mmaction '
        f'{versions["vll_mmaction"]} {state["commit"] or "(no commit)"}, '
        f'torch {versions["torch"]}'
    )


def _footnotes(rows: list) -> list:
    """What a reader must know of the runs that were counted or not."""
    states = [state for row in rows for state in row.states.values()]
    notes = []
    made = Counter(map(_made_with, states))
    if made:
        parts = [f'{how} ({times} runs)' for how, times in made.items()]
        notes.append(f'Made with: {"; ".join(parts)}.')
    if len(made) > 1:
        notes.append(
            '**Not all runs were made with the same version and machine.**'
        )
    keys = {frozenset(row.states) for row in rows if row.row.config}
    if len(keys) > 1:
        notes.append('**Not all rows have the same seeds and folds yet.**')
    if any(row.pooled for row in rows):
        notes.append(POOLED)
    notes += [f'Not finished: {x}.' for r in rows for x in r.unfinished]
    notes += [f'Not counted: {x}' for r in rows for x in r.problems]
    return notes


def report(table: Table, out: Path, folder: Path) -> str:
    """Write a table's report of the runs in ``out`` to a folder.

    Returns:
        str: The Markdown.
    """
    rows = [collect(row, table, out) for row in table.rows]
    baseline = next((row for row in rows if row.row.config), None)
    cells = [_cells(row, baseline) for row in rows]
    few = any(len({s for s, _ in r.states}) == 1 for r in rows)
    parts = [
        f'## {table.title}',
        _markdown([COLUMNS, *cells]),
        NOTE.format(one=ONE_SEED if few else ''),
        *_footnotes(rows),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    points = [
        (row.row.alpha, *_mean_and_ends(row))
        for row in rows
        if row.row.alpha is not None and row.states
    ]
    if points:
        draw_lines(
            {'measured, mean ± std over seeds': points},
            folder / f'{table.name}.png',
            xlabel='balanced weight α',
            ylabel='video accuracy by vote (%)',
        )
        parts.append(f'![{table.title}]({table.name}.png)')
    write_whole(folder / f'{table.name}_runs.csv', _csv(_run_rows(rows)))
    return _write_table(folder / table.name, parts, [COLUMNS, *cells])


def _mean_and_ends(row: Measured) -> tuple:
    mean, std = mean_and_std(row.values('vote'), row.weights)
    return mean, mean - (std or 0), mean + (std or 0)


def _markdown(rows: list) -> str:
    lines = [f'| {" | ".join(row)} |' for row in rows]
    lines.insert(1, '|' + ' --- |' * len(rows[0]))
    return '\n'.join(lines)


def _csv(rows: list) -> str:
    file = io.StringIO(newline='')
    csv.writer(file).writerows(rows)
    return file.getvalue()


def _write_table(stem: Path, parts: list, cells: list) -> str:
    """Markdown, which is returned, and CSV."""
    text = '\n\n'.join(parts) + '\n'
    write_whole(stem.with_name(f'{stem.name}.md'), text)
    write_whole(stem.with_name(f'{stem.name}.csv'), _csv(cells))
    return text


def _run_rows(rows: list) -> list:
    """One row a run, with all that its run.json holds."""
    columns = ('gpus', 'commit', 'videos', 'clips')
    names = (*RULES, 'clip', 'agreement')
    head = ['training', 'config', 'seed', 'fold', *names]
    found = [[*head, 'train_seconds', 'test_seconds', *columns]]
    for measured in rows:
        for (seed, _), state in measured.states.items():
            found.append(
                [measured.row.name, measured.row.config, seed, state['fold']]
                + [state['accuracies'].get(name, '') for name in names]
                + [state['seconds'][name] for name in ('train', 'test')]
                + [state[name] for name in columns]
            )
    return found


def report_curve(name: str, tables: list, out: Path, folder: Path) -> str:
    """Write the gains of tables that differ in the share of telling clips.

    Args:
        name (str): Of the files.
        tables (list[Table]): With a ``share``.
        out (Path): Folder of all runs.
        folder (Path): Where the files go.

    Returns:
        str: The Markdown.
    """
    lines: dict = {}
    header = ['clips that show the class']
    header += [row.name for row in tables[0].rows]
    cells = []
    for table in tables:
        first, *others = (collect(row, table, out) for row in table.rows)
        cells.append([f'{table.share}%', first.spread(first.best_rule)])
        for row in others:
            found = difference(row, first, best=True)
            cells[-1].append('')
            if found:
                mean, low, high, _ = found
                cells[-1][-1] = f'{mean:+.1f} [{low:+.1f}, {high:+.1f}]'
                points = lines.setdefault(row.row.name, [])
                points.append((table.share, mean, low, high))
    parts = [
        f'## Gain over {header[1]}',
        _markdown([header, *cells]),
        f'Percent of videos right by the best rule of {header[1]}, and '
        'differences to it of each row by its own best rule, with 95% '
        'bootstrap intervals over seeds and videos.',
    ]
    if lines:
        draw_lines(
            lines,
            folder / f'{name}.png',
            xlabel='clips that show the class (%)',
            ylabel=f'gain over {header[1]} (points)',
        )
        parts.append(f'![Gain]({name}.png)')
    return _write_table(folder / name, parts, [header, *cells])

"""The runs of a table as Markdown and CSV, and Figure 5."""

import csv
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Optional

import matplotlib
import numpy as np

from vll_mmaction.evaluation import load_clip_results, vote_scores

from .plans import ExperimentError, Run, find_config
from .runs import ACCURACIES, check_state, read_state
from .stats import mean_and_std, paired_interval
from .tables import Row, Table

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

COLUMNS = (
    'training',
    'paper',
    'measured',
    'runs',
    'difference to the first',
    'measured: clips',
    'measured: mean probability',
    'measured: agreement',
    'config, or source',
)
NOTE = (
    'Accuracies in percent; `measured` is that of the vote of the clips, the '
    "paper's metric, of the model after the last epoch: mean ± standard "
    'deviation over seeds. Difference: of the runs of the same seed and '
    'split, with a 95% bootstrap interval over seeds and videos{one}. Empty: '
    'not run, or not in the paper.'
)
ONE_SEED = (
    ' (of a row with one seed over videos only, which leaves out how much '
    'training itself scatters)'
)


@dataclass
class Measured:
    """The finished runs of a row.

    Attributes:
        row (Row): The row.
        states (dict[tuple[int, int], dict]): run.json of each (seed, split).
        runs (dict[tuple[int, int], Run]): The runs themselves.
        problems (list[str]): Why runs that are there were left out.
        unfinished (list[str]): Runs that were begun.
    """

    row: Row
    states: dict = field(default_factory=dict)
    runs: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)
    unfinished: list = field(default_factory=list)

    def values(self, name: str) -> dict:
        """One accuracy, percent, by (seed, split)."""
        return {
            key: 100 * state['accuracies'][name]
            for key, state in self.states.items()
        }


def collect(row: Row, table: Table, out: Path) -> Measured:
    """Find the runs of a row.

    Args:
        row (Row): The row.
        table (Table): The table it is of.
        out (Path): Folder of all runs.

    Returns:
        Measured: Those that are finished, and what else there is.
    """
    measured = Measured(row)
    if not row.config:
        return measured
    config = find_config(row.config)
    some = Run(
        config,
        0,
        1,
        table.runs_in(out),
        row.gpus,
        table.data_root,
        row.changes,
    )
    for folder in sorted(some.folder.parent.glob('*seed*')):
        try:
            state = read_state(folder)
            if not state:
                continue
            split = state['split'] or 1
            run = replace(some, seed=state['seed'], split=split)
            if run.folder != folder:
                raise ExperimentError(
                    f'{folder} holds the run {run.name}: moved here by hand?'
                )
            check_state(run, state)
        except ExperimentError as error:
            measured.problems.append(str(error))
            continue
        if state['status'] == 'done' and run.results.is_file():
            measured.states[run.seed, run.split] = state
            measured.runs[run.seed, run.split] = run
        else:
            measured.unfinished.append(f'{run.name}: {state["status"]}')
    return measured


def _right(run: Run) -> dict:
    """Whether each test video is right by vote, by its file name."""
    results = load_clip_results(str(run.results))
    videos = np.split(results.clip_scores, results.video_offsets[1:-1])
    right = [
        vote_scores(scores).argmax() == label
        for scores, label in zip(videos, results.labels)
    ]
    return dict(zip(results.filenames.tolist(), map(int, right)))


def paired_differences(row: Measured, baseline: Measured) -> list:
    """Differences of the runs that two rows have in common.

    Args:
        row (Measured): A row.
        baseline (Measured): Another.

    Returns:
        list[ndarray]: For each split (seeds, videos) of -1, 0, 1.

    Raises:
        ExperimentError: They were tested on other videos.
    """
    tables = []
    common = row.runs.keys() & baseline.runs.keys()
    for split in sorted({split for _, split in common}):
        rows = []
        for seed in sorted(s for s, other in common if other == split):
            ours = _right(row.runs[seed, split])
            theirs = _right(baseline.runs[seed, split])
            if ours.keys() != theirs.keys():
                raise ExperimentError(
                    f'{row.runs[seed, split].results} and '
                    f'{baseline.runs[seed, split].results} are of other '
                    'test videos'
                )
            rows.append([ours[name] - theirs[name] for name in sorted(ours)])
        tables.append(np.array(rows))
    return tables


def _spread(values: dict) -> str:
    if not values:
        return ''
    mean, std = mean_and_std(values)
    return f'{mean:.2f}' + ('' if std is None else f' ± {std:.2f}')


def _runs(measured: Measured) -> str:
    keys = measured.states.keys()
    if not keys:
        return ''
    splits = sorted({split for _, split in keys})
    some = next(iter(measured.runs.values()))
    text = str(len(keys))
    if some.has_splits:
        text += f' (split {", ".join(map(str, splits))})'
    return text


def _difference(measured: Measured, baseline: Optional[Measured]) -> str:
    if baseline is None or measured is baseline:
        return ''
    tables = paired_differences(measured, baseline)
    if not tables:
        return ''
    # Each split counts alike, as in the interval.
    mean = 100 * np.mean([table.mean() for table in tables])
    low, high = (100 * end for end in paired_interval(tables))
    pairs = sum(len(table) for table in tables)
    return f'{mean:+.2f} [{low:+.2f}, {high:+.2f}], {pairs} paired'


def _cells(measured: Measured, baseline: Optional[Measured]) -> list:
    row = measured.row
    return [
        row.name,
        '' if row.paper is None else f'{row.paper:g}',
        _spread(measured.values('vote')),
        _runs(measured),
        _difference(measured, baseline),
        _spread(measured.values('clip')),
        _spread(measured.values('mean_prob')),
        _spread(measured.values('agreement')),
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
        notes.append('**Not all rows have the same seeds and splits yet.**')
    notes += [f'Not finished: {x}.' for r in rows for x in r.unfinished]
    notes += [f'Not counted: {x}' for r in rows for x in r.problems]
    return notes


def report(table: Table, out: Path, folder: Path) -> str:
    """Write a table's report.

    Args:
        table (Table): The table.
        out (Path): Folder of all runs.
        folder (Path): Where the files go.

    Returns:
        str: The Markdown.
    """
    rows = [collect(row, table, out) for row in table.rows]
    baseline = next((row for row in rows if row.row.config), None)
    cells = [_cells(row, baseline) for row in rows]
    few = any(len({s for s, _ in r.states}) == 1 for r in rows)
    lines = [
        f'## {table.title}',
        '',
        f'| {" | ".join(COLUMNS)} |',
        '|' + ' --- |' * len(COLUMNS),
        *(f'| {" | ".join(row)} |' for row in cells),
        '',
        NOTE.format(one=ONE_SEED if few else ''),
    ]
    for note in _footnotes(rows):
        lines += ['', note]
    folder.mkdir(parents=True, exist_ok=True)
    if any(row.row.alpha is not None for row in rows):
        picture = folder / f'{table.name}.png'
        if draw_alphas(rows, picture):
            lines += ['', f'![{table.title}]({picture.name})']
    text = '\n'.join(lines) + '\n'
    _replace(folder / f'{table.name}.md', lambda file: file.write(text))
    rows_of_csv = [COLUMNS, *cells]
    _replace(
        folder / f'{table.name}.csv',
        lambda file: csv.writer(file).writerows(rows_of_csv),
    )
    _replace(folder / f'{table.name}_runs.csv', partial(_write_runs, rows))
    return text


def _write_runs(rows: list, file) -> None:
    """One line a run, with all that its run.json holds."""
    writer = csv.writer(file)
    columns = ('gpus', 'commit', 'videos', 'clips')
    writer.writerow(
        ['training', 'config', 'seed', 'split', *ACCURACIES]
        + ['train_seconds', 'test_seconds', *columns]
    )
    for measured in rows:
        for (seed, _), state in measured.states.items():
            writer.writerow(
                [measured.row.name, measured.row.config, seed, state['split']]
                + [state['accuracies'][name] for name in ACCURACIES]
                + [state['seconds'][name] for name in ('train', 'test')]
                + [state[name] for name in columns]
            )


def _replace(path: Path, write) -> None:
    temporary = path.with_name(f'{path.name}.tmp')
    with open(temporary, 'w', newline='') as file:
        write(file)
    os.replace(temporary, path)


def draw_alphas(rows: list, path: Path) -> bool:
    """Draw accuracy against α (Fig. 5 of the paper).

    Args:
        rows (list[Measured]): Rows with an α.
        path (Path): Picture to write.

    Returns:
        bool: False if no run is there to draw.
    """
    points = [
        (row.row.alpha, *mean_and_std(row.values('vote')))
        for row in rows
        if row.row.alpha is not None and row.states
    ]
    if not points:
        return False
    alphas, means, stds = zip(*points)
    figure, axis = plt.subplots(figsize=(6, 4), layout='constrained')
    axis.errorbar(
        alphas,
        means,
        [std or 0 for std in stds],
        marker='o',
        markersize=4,
        capsize=3,
        color='C3',
        label='measured, mean ± std over seeds',
    )
    axis.set(
        xlabel='balanced weight α',
        ylabel='video accuracy by vote (%)',
        xticks=[tenth / 10 for tenth in range(10)],
    )
    axis.grid(color='0.92')
    axis.spines[['top', 'right']].set_visible(False)
    axis.legend(frameon=False, fontsize='small')
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return True

"""The runs of a table as Markdown and CSV, and Figure 5."""

import csv
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Optional

import matplotlib
import numpy as np

from vll_mmaction.evaluation import load_clip_results

from .plans import ExperimentError
from .results import RULES, right_videos
from .runs import check_state, read_state
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


@dataclass
class Measured:
    """The finished runs of a row.

    Attributes:
        row (Row): The row.
        states (dict[tuple[int, int], dict]): run.json of each (seed, fold).
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
        """One accuracy, percent, by (seed, fold); of the runs that have it."""
        return {
            key: 100 * state['accuracies'][name]
            for key, state in self.states.items()
            if name in state['accuracies']
        }

    @cached_property
    def right(self) -> dict:
        """By (seed, fold) and rule: 0 or 1 of each video, by file name."""
        found = {}
        for key, run in self.runs.items():
            results = load_clip_results(str(run.results))
            names = results.filenames.tolist()
            found[key] = {
                rule: dict(zip(names, right.tolist()))
                for rule, right in right_videos(results).items()
            }
        return found

    @cached_property
    def weights(self) -> dict:
        """How much each fold counts: by its videos where all differ."""
        videos: dict = {}
        for (_, fold), right in self.right.items():
            videos.setdefault(fold, set()).update(right['vote'])
        total = sum(map(len, videos.values()))
        if len(set().union(*videos.values())) < total or len(videos) < 2:
            return dict.fromkeys(videos, 1)
        return {fold: len(names) for fold, names in videos.items()}

    @property
    def pooled(self) -> bool:
        """Whether the folds test different videos."""
        return len(self.weights) > 1 and set(self.weights.values()) != {1}

    def spread(self, name: str) -> str:
        """Mean and standard deviation of an accuracy, as text."""
        values = self.values(name)
        if not values:
            return ''
        mean, std = mean_and_std(values, self.weights)
        return f'{mean:.2f}' + ('' if std is None else f' ± {std:.2f}')

    @property
    def best_rule(self) -> str:
        """The rule by which most videos are right; the first of equals."""
        found = {rule: self.values(rule) for rule in RULES}
        return max(
            (rule for rule in RULES if found[rule]),
            key=lambda rule: mean_and_std(found[rule], self.weights)[0],
            default=RULES[0],
        )


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
    some = table.run_of(row, 0, 1, out)
    for folder in sorted(some.folder.parent.glob('*seed*')):
        try:
            state = read_state(folder)
            if not state:
                continue
            run = replace(some, seed=state['seed'], fold=state['fold'] or 1)
            if run.folder != folder:
                raise ExperimentError(
                    f'{folder} holds the run {run.name}: moved here by hand?'
                )
            check_state(run, state)
        except ExperimentError as error:
            measured.problems.append(str(error))
            continue
        if state['status'] == 'done' and run.results.is_file():
            measured.states[run.seed, run.fold] = state
            measured.runs[run.seed, run.fold] = run
        else:
            measured.unfinished.append(f'{run.name}: {state["status"]}')
    return measured


def paired_differences(
    row: Measured, baseline: Measured, best: bool = False
) -> list:
    """Differences of the runs that two rows have in common.

    Args:
        row (Measured): A row.
        baseline (Measured): Another.
        best (bool): Each by its best rule, rather than both by vote.

    Returns:
        list[ndarray]: For each fold (seeds, videos) of -1, 0, 1; of folds
        that test different videos one of all, of the seeds that have all.

    Raises:
        ExperimentError: They were tested on other videos.
    """
    rules = [x.best_rule if best else 'vote' for x in (row, baseline)]
    tables: dict = {}
    for key in sorted(row.runs.keys() & baseline.runs.keys()):
        ours, theirs = (
            x.right[key][rule] for x, rule in zip((row, baseline), rules)
        )
        if ours.keys() != theirs.keys():
            raise ExperimentError(
                f'{row.runs[key].results} and {baseline.runs[key].results} '
                'are of other test videos'
            )
        seed, fold = key
        tables.setdefault(fold, {})[seed] = [
            ours[name] - theirs[name] for name in sorted(ours)
        ]
    if row.pooled and tables:
        seeds = set.intersection(*map(set, tables.values()))
        if seeds:
            pooled = [
                np.concatenate([tables[fold][seed] for fold in tables])
                for seed in sorted(seeds)
            ]
            return [np.array(pooled)]
    return [np.array(list(seeds.values())) for seeds in tables.values()]


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
    tables = paired_differences(measured, baseline, best)
    if not tables:
        return ''
    # Each table counts alike, as in the interval.
    mean = 100 * np.mean([table.mean() for table in tables])
    low, high = (100 * end for end in paired_interval(tables))
    text = f'{mean:+.2f} [{low:+.2f}, {high:+.2f}]'
    if best:
        rules = (measured.best_rule, baseline.best_rule)
        return f'{text} ({" to ".join(rules)})'
    return f'{text}, {sum(len(table) for table in tables)} paired'


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
    names = (*RULES, 'clip', 'agreement')
    writer.writerow(
        ['training', 'config', 'seed', 'fold', *names]
        + ['train_seconds', 'test_seconds', *columns]
    )
    for measured in rows:
        for (seed, _), state in measured.states.items():
            writer.writerow(
                [measured.row.name, measured.row.config, seed, state['fold']]
                + [state['accuracies'].get(name, '') for name in names]
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
        (row.row.alpha, *mean_and_std(row.values('vote'), row.weights))
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

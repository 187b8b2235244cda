"""The finished runs of a row, and how two rows differ."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Optional

import numpy as np

from vll_mmaction.evaluation import load_clip_results

from .configs import ExperimentError
from .results import RULES, right_videos
from .rows import Row, Table
from .state import check_state, read_state
from .stats import mean_and_std, paired_interval


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
    """The runs of a row of a table that are finished, and what else is there.

    ``out`` is the folder of all runs.
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

    By vote, or if wanted of each row by its best rule.

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


def difference(
    row: Measured, baseline: Measured, best: bool = False
) -> Optional[tuple]:
    """Mean difference of two rows, see :func:`paired_differences`.

    Returns:
        tuple[float, float, float, int] | None: Mean, the interval's ends, all
        in percent, and the number of pairs; None without any.

    Raises:
        ExperimentError: They were tested on other videos.
    """
    tables = paired_differences(row, baseline, best)
    if not tables:
        return None
    # Each table counts alike, as in the interval.
    mean = np.mean([table.mean() for table in tables])
    low, high = paired_interval(tables)
    pairs = sum(len(table) for table in tables)
    return 100 * mean, 100 * low, 100 * high, pairs

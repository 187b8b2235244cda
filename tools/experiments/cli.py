"""The command line: list, run, report."""

import argparse
import fcntl
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from .configs import ROOT, ExperimentError, find_config, gpus_of
from .measured import collect
from .plans import Run
from .report import report, report_curve
from .rows import Row, Table
from .runs import execute
from .tables import BY_NAME, GROUPS, TABLES


def _wanted(names: list) -> list:
    """Tables by name; configs by path become a table of their own."""
    named = {**{name: [x] for name, x in BY_NAME.items()}, **GROUPS}
    tables = [x for name in names for x in named.get(name, ())]
    configs = [name for name in names if name not in named]
    for name in configs:
        if not name.endswith('.py'):
            raise ExperimentError(
                f'{name} is neither a config nor one of the tables '
                f'{", ".join(named)}'
            )
        find_config(name)
    if configs:
        rows = tuple(
            Row(Path(name).stem, name, gpus=gpus_of(find_config(name)))
            for name in configs
        )
        tables.append(Table('configs', 'Configs', rows))
    return tables


def list_tables(args) -> None:
    """Show the tables, their rows and the runs that there are."""
    for table in _wanted(args.tables) or TABLES:
        print(f'{table.name}: {table.title}')
        width = max(len(row.name) for row in table.rows) + 2
        for row in table.rows:
            runs = collect(row, table, args.out)
            what = row.config or f'reference: {row.source}'
            print(f'  {row.name:{width}}{what}')
            done = [run.folder.name for run in runs.runs.values()]
            if done:
                print(f'    done: {", ".join(done)}')
            for line in runs.unfinished + runs.problems:
                print(f'    {line}')
        print()


def _make_data(table: Table, run: Run) -> None:
    """Make the data of a table, unless another process just does."""
    run.out.mkdir(parents=True, exist_ok=True)
    with open(run.out / '.making_data', 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if run.missing_data():
            script, *rest = table.prepare
            words = [sys.executable, str(ROOT / script), *rest]
            if subprocess.run(words).returncode:
                raise ExperimentError(f'{script} failed')


def _prepare(table: Table, run: Run) -> None:
    """See that the data are there; make those that can be made."""
    if run.missing_data() and table.prepare:
        _make_data(table, run)
    missing = run.missing_data()
    if missing:
        raise ExperimentError(
            f'{", ".join(missing)} is missing: run this in the folder that '
            'has data/, and make the lists by tools/data/NAME/prepare.py'
        )


def _runs_of(table: Table, args) -> list:
    """All runs of a table, seed by seed, so that rows fill up together."""
    runs = {}
    for seed in args.seeds:
        for fold in args.folds or table.folds:
            for row in table.rows:
                if row.config:
                    run = table.run_of(row, seed, fold, args.out)
                    if not run.fold_name:
                        run = replace(run, fold=1)
                    runs[run.name] = run  # data without folds: once
    return list(runs.values())


def run_tables(args) -> None:
    """Make what is missing; a failure does not stop the others."""
    processes = args.gpus
    if processes is None:
        import torch

        processes = torch.cuda.device_count()
    failed, bad = {}, []
    for table in _wanted(args.tables):
        runs = _runs_of(table, args)
        print(f'{table.title}: {len(runs)} runs')
        for number, run in enumerate(runs, 1):
            try:
                _prepare(table, run)
                state = execute(run, processes, failed)
            except ExperimentError as error:
                bad.append(run.name)
                state = f'FAILED: {error}'
            print(f'{number}/{len(runs)} {run.name}: {state}', flush=True)
    if bad:
        sys.exit(f'{len(bad)} runs failed: {", ".join(bad)}')


def report_tables(args) -> None:
    """Print and write the reports."""
    folder = args.out / 'report'
    texts = []
    for table in _wanted(args.tables) or TABLES:
        texts.append(report(table, args.out, folder))
    for name in GROUPS.keys() & set(args.tables):
        texts.append(report_curve(name, GROUPS[name], args.out, folder))
    print('\n'.join(texts))
    print(f'Written to {folder}', file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Runs the paper's tables, or any configs, with "
        "MMAction2's train.py and test.py, and reports them."
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')

    def add(name, what, function, tables):
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument(
            'tables',
            nargs=tables,
            metavar='TABLE|CONFIG',
            help=f'of {", ".join([*BY_NAME, *GROUPS])}, or config files',
        )
        command.add_argument(
            '--out',
            type=Path,
            default=Path('work_dirs/experiments'),
            help='folder of all runs (default: %(default)s)',
        )
        command.set_defaults(function=function)
        return command

    add('list', 'Show tables, rows and runs.', list_tables, '*')
    run = add(
        'run',
        'Train and test what is missing. Run it again to go on after it was '
        'stopped; what is done is never done again.',
        run_tables,
        '+',
    )
    run.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        default=[0, 1, 2],
        help='default: 0 1 2',
    )
    run.add_argument(
        '--folds',
        '--splits',
        type=int,
        nargs='+',
        help='numbers of the lists, as in train_fold_2.txt or '
        'ucf101_train_split_2_videos.txt (default: all of a table; 1 of '
        'UCF101 and HMDB51, which the paper seems to use, and of configs)',
    )
    run.add_argument(
        '--gpus',
        type=int,
        help='processes a run; 0 is one on the CPU (default: all GPUs)',
    )
    add('report', 'Write Markdown, CSV and figures.', report_tables, '*')
    return parser


def _terminate(*_) -> None:
    raise KeyboardInterrupt


def main(args=None) -> None:
    """Do what the command line says."""
    args = _parser().parse_args(args)
    # So that a training ends with the runner that started it.
    signal.signal(signal.SIGTERM, _terminate)
    try:
        args.function(args)
    except ExperimentError as error:
        sys.exit(f'experiments.py: {error}')
    except KeyboardInterrupt:
        sys.exit('Stopped. The same command goes on from here.')

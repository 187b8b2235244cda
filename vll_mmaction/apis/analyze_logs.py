"""Lets MMAction2's ``analyze_logs.py`` read the logs of today's MMEngine.

``plot_curve`` was written for the logs of before MMEngine: it wants the key
``mode``, and iterations that start anew with each epoch. ``cal_train_time``
works as it is.
"""

import argparse
import importlib.util
import json
import math
import sys
import types

import matplotlib.pyplot as plt


def run(path: str) -> None:
    """Run the tool with the arguments in ``sys.argv``.

    Args:
        path (str): MMAction2's ``analyze_logs.py``.
    """
    if 'seaborn' not in sys.modules and not importlib.util.find_spec(
        'seaborn'
    ):
        # The one function that the tool takes from it.
        seaborn = types.ModuleType('seaborn', 'Stands in for seaborn.')
        seaborn.set_style = lambda style: plt.style.use(
            f'seaborn-v0_8-{style}'
        )
        sys.modules['seaborn'] = seaborn
    spec = importlib.util.spec_from_file_location('analyze_logs', path)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    plot_curve = tool.plot_curve

    def plot_curve_of_todays_logs(
        log_dicts: list[dict], args: argparse.Namespace
    ) -> None:
        curves = []
        for path, log_dict in zip(args.json_logs, log_dicts):
            if not any('mode' in epoch for epoch in log_dict.values()):
                log_dict = {1: load_curve(path)}
            known = next(iter(log_dict.values()))
            for key in args.keys:
                if key not in known:
                    sys.exit(f'{path} has no {key!r}: {", ".join(known)}')
            curves.append(log_dict)
        plot_curve(curves, args)

    tool.plot_curve = plot_curve_of_todays_logs
    tool.main()


def load_curve(path: str) -> dict:
    """Read a log as the tool takes an epoch of the old logs.

    All iterations are one epoch, since MMEngine numbers them through. A
    figure of a validation belongs to the last iteration before it, and
    stands until the next; NaN stands for what is not known yet.

    Args:
        path (str): ``scalars.json`` or ``<time>.json`` in ``vis_data`` of a
            run's folder.

    Returns:
        dict[str, list]: Values by name, one a logged iteration.
    """
    known: dict = {}
    rows: list[dict] = []
    with open(path) as file:
        for line in file:
            figures = json.loads(line)
            trained = 'iter' in figures
            figures.pop('step', None)
            if not trained:
                # Else those of training would not be their own any more.
                figures.pop('time', None)
                figures.pop('data_time', None)
            known.update(figures)
            if trained:
                rows.append(dict(known))
            elif rows:
                rows[-1].update(figures)
    if not rows:
        sys.exit(f'{path} has no line of a training iteration')
    curve = {name: [row.get(name, math.nan) for row in rows] for name in known}
    return dict(curve, mode=['train'] * len(rows))

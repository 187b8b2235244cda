"""What a table is made of: its rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from .configs import find_config
from .plans import Run

CLIP = 'clip level, CE'
VIDEO = 'video level, CE'
ERR = 'video level, VLL (err)'
EUC = 'video level, VLL (euc)'
VLL = 'video level, VLL (ccl)'
CONSENSUS = "mean score (TSN's consensus)"


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name (str): What stands in its first column.
        config (str): Config in ``configs``, or a path. ``''`` is a reference:
            another method, of which there is the paper's number only.
        paper (float, optional): The paper's number.
        source (str): Of a reference: where the method was published.
        gpus (int): Processes that the config is written for. On fewer or
            more the accumulated batches are adapted, see ``runs.py``.
        alpha (float, optional): Balanced weight, the x axis of Figure 5.
        changes (tuple[tuple[str, object]]): Keys and values that differ from
            the config, as ``--cfg-options`` takes them.
    """

    name: str
    config: str = ''
    paper: Optional[float] = None
    source: str = ''
    gpus: int = 2
    alpha: Optional[float] = None
    changes: tuple = ()


@dataclass(frozen=True)
class Table:
    """Some rows; the first one with a config is the baseline.

    Attributes:
        name (str): As on the command line.
        title (str): Heading in the report.
        rows (tuple[Row]): Its rows.
        prepare (tuple[str]): Script, relative to the repository, and
            arguments that make the data where they are missing. Without, the
            user is told how to get them.
        data_root (str): Folder of the data, in place of the configs'. The
            runs are then kept in a folder of the data's name.
        folds (tuple[int]): Splits or folds that are run unless others are
            asked for.
        share (int, optional): Percent of its videos' clips that show the
            class, the x axis of the curve.
    """

    name: str
    title: str
    rows: tuple
    prepare: tuple = ()
    data_root: str = ''
    folds: tuple = (1,)
    share: Optional[int] = None

    def run_of(self, row: Row, seed: int, fold: int, out: Path) -> Run:
        """A run of one of its rows, in the folder of all runs."""
        return Run(
            find_config(row.config),
            seed,
            fold,
            out / '-'.join(Path(self.data_root).parts[1:]),
            row.gpus,
            self.data_root,
            row.changes,
        )

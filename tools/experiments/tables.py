"""The paper's tables and Figure 5 as lists of configs.

Numbers are the paper's (Shi et al. 2020), accuracies in percent.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from .plans import LOADERS, Run, find_config

TRAN = 'Tran et al., ICCV 2015'
GAN = 'Gan et al., CVPR 2018'
ZHU = 'Zhu et al., CVPR 2018'
KOPUKLU = 'Köpüklü et al., arXiv:1904.02422, 2019'
WANG = 'Wang et al., CVPR 2019'
KIM = 'Kim et al., AAAI 2019'


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


def _reference(name: str, paper: float, source: str) -> Row:
    return Row(name, paper=paper, source=source)


def _alpha(tenths: int) -> Row:
    alpha = tenths / 10
    return Row(
        f'α = {alpha}',
        'vll_c3d_ucf101_finetune.py',
        # The paper shows a curve without numbers; one is in its Table 1.
        58.76 if tenths == 3 else None,
        alpha=alpha,
        changes=()
        if tenths == 3
        else (('model.cls_head.loss_cls.alpha', alpha),),
    )


CLIP = 'clip level, CE'
VIDEO = 'video level, CE'
ERR = 'video level, VLL (err)'
EUC = 'video level, VLL (euc)'
VLL = 'video level, VLL (ccl)'
CONSENSUS = "mean score (TSN's consensus)"

# What the videos of make_videos.py --ambiguity show.
AMBIGUITIES = dict(
    none='every clip shows the class',
    some='some clips mislead',
    most='most clips do not show the class',
)
SHARES = {100: '0', 71: '0.3', 56: '0.45', 42: '0.6', 30: '0.73'}
"""Percent of the clips that show the class, by --ambiguity."""


def _small(folder: str) -> tuple:
    """Table 1's rows of a small network, without a number of the paper."""
    return (
        Row(CLIP, f'{folder}/clip_c3d_finetune.py', gpus=1),
        Row(VIDEO, f'{folder}/vll_c3d_ce_finetune.py', gpus=1),
        Row(ERR, f'{folder}/vll_c3d_err_finetune.py', gpus=1),
        Row(EUC, f'{folder}/vll_c3d_euc_finetune.py', gpus=1),
        Row(VLL, f'{folder}/vll_c3d_finetune.py', gpus=1),
    )


def _beyond() -> tuple:
    """What else makes video-level training better, beside the paper's."""
    first, video, *_, vll = _small('quickstart')
    few = 'quickstart/vll_c3d_few_{}_finetune.py'
    return (
        first,
        video,
        vll,
        Row('few clips of more videos, CE', few.format('ce'), gpus=1),
        Row('few clips, VLL (ccl)', few.format('ccl'), gpus=1),
        Row('few clips, mean prediction', few.format('mean'), gpus=1),
    )


def _videos(ambiguity: str) -> dict:
    """Where a table's generated videos are, and how they are made."""
    data = f'data/generated/{ambiguity}'
    options = '--ambiguity', ambiguity, '--videos', '208'
    script = 'tools/quickstart/make_videos.py'
    return dict(
        prepare=(script, data, *options, '--test-videos', '416'),
        data_root=data,
    )


def _generated(name: str, title: str, rows: tuple, degree: str) -> Table:
    return Table(
        f'{name}-{degree}',
        f'{title} on generated videos: {AMBIGUITIES[degree]}',
        rows,
        **_videos(degree),
    )


LOSS = 'model.cls_head.loss_cls'
TEN = tuple(range(1, 11))
HIDDEN = 256
"""Width of the hidden layer, where there is one."""


def _change(loss: str = LOSS, **values: object) -> tuple:
    return tuple((f'{loss}.{name}', value) for name, value in values.items())


def _prediction(average_clips: str, alpha: float) -> tuple:
    term = dict(type='VideoPredictionLoss', average_clips=average_clips)
    return _change(alpha=alpha) + _change(f'{LOSS}.ccl', **term)


def _on_features(folder: str) -> tuple:
    """What a loss does on features: the paper's, TSN's, attention."""
    term = f'{LOSS}.ccl'
    video, attention = f'{folder}/video.py', f'{folder}/attention.py'
    paper = [
        (VIDEO, _change(alpha=0)),
        (ERR, _change(term, type='ConsistentConstraintLoss', mode='err')),
        (EUC, _change(term, type='ConsistentConstraintLoss', mode='euc')),
        (VLL, ()),
        ('mean probability', _prediction('prob', 1)),
        ('mean probability, CE', _prediction('prob', 0.5)),
        (CONSENSUS, _prediction('score', 1)),
        (f'{CONSENSUS}, CE', _prediction('score', 0.5)),
    ]
    return (
        Row(CLIP, f'{folder}/clip.py', gpus=1),
        *(Row(name, video, gpus=1, changes=x) for name, x in paper),
        Row('attention', attention, gpus=1, changes=_change(beta=0)),
        Row('attention, CE', attention, gpus=1),
        Row('attention, CE, few clips', f'{folder}/attention_few.py', gpus=1),
    )


ZOO = dict(slowonly=2048, tsm=2048, swin=768)
"""Networks of Kinetics-400 whose features are used, and their channels."""


def _zoo_tables(folder: str, title: str) -> tuple:
    """The rows on features of each network."""
    tables = []
    for network, channels in ZOO.items():
        changes = (
            *(
                (f'{loader}.dataset.features', f'features/{network}')
                for loader in LOADERS
            ),
            ('model.backbone.in_channels', channels),
            ('model.cls_head.in_channels', channels),
        )
        rows = tuple(
            replace(row, changes=changes + row.changes)
            for row in _on_features(folder)
            if not row.config.endswith('attention_few.py')
        )
        name = f'{folder.partition("_")[0]}-{network}'
        tables.append(Table(name, f'{title}, features of {network}', rows))
    return tuple(tables)


def _hidden(row: Row) -> Row:
    wide = (
        ('model.backbone.hidden_channels', HIDDEN),
        ('model.cls_head.in_channels', HIDDEN),
    )
    return replace(row, changes=wide + row.changes)


def _shares() -> tuple:
    """The gain on features, as the clips that show the class get fewer."""
    rows = _on_features('quickstart/features')
    names = CLIP, VLL, CONSENSUS, 'attention', 'attention, CE'
    return tuple(
        Table(
            f'share-{shown}',
            f'Features of generated videos: {shown}% of the clips show the '
            'class',
            tuple(row for row in rows if row.name in names),
            share=shown,
            **_videos(ambiguity),
        )
        for shown, ambiguity in SHARES.items()
    )


def _feature_tables(name: str, title: str, folder: str, folds: tuple) -> tuple:
    linear = _on_features(folder)
    hidden = tuple(map(_hidden, linear))
    alphas = tuple(
        Row(
            f'α = {tenths / 10}',
            f'{folder}/video.py',
            gpus=1,
            alpha=tenths / 10,
            changes=() if tenths == 3 else _change(alpha=tenths / 10),
        )
        for tenths in range(10)
    )
    return (
        Table(f'{name}-linear', f'{title}, linear', linear, folds=folds),
        Table(f'{name}-hidden', f'{title}, hidden layer', hidden, folds=folds),
        Table(
            f'{name}-alpha',
            f'{title}, linear: balanced weight α',
            (linear[0], *alphas),
            folds=folds,
        ),
    )


def _choice() -> Table:
    """The learning rate of all rows on features, chosen at clip level.

    Within the training videos of a fold: tested on the next one's sequences.
    """
    linear = [
        Row(
            f'linear, learning rate {rate:g}',
            'ut_interaction/choice.py',
            gpus=1,
            changes=(('optim_wrapper.optimizer.lr', rate),),
        )
        for rate in (3e-4, 1e-3, 3e-3, 1e-2)
    ]
    hidden = [
        replace(_hidden(row), name=row.name.replace('linear', 'hidden layer'))
        for row in linear
    ]
    return Table(
        'ut-choice',
        'UT-Interaction: learning rate',
        (*linear, *hidden),
        folds=TEN[::2],
    )


def _scratch() -> tuple:
    """A small network from scratch on UT-Interaction, and its choice."""
    config = 'ut_interaction/c3d_{}.py'.format
    attention = config('attention')
    rows = (
        Row(CLIP, config('clip'), gpus=1),
        Row(VLL, config('vll'), gpus=1),
        Row(f'{VLL}, half', config('vll_half'), gpus=1),
        Row('attention', attention, gpus=1, changes=_change(beta=0)),
        Row('attention, CE', attention, gpus=1),
    )
    choice = tuple(
        Row(
            f'learning rate {rate:g}, {epochs} epochs',
            config('choice'),
            gpus=1,
            changes=(
                ('optim_wrapper.optimizer.lr', rate),
                ('param_scheduler.0.T_max', epochs),
                ('train_cfg.max_epochs', epochs),
            ),
        )
        for epochs in (10, 20)
        for rate in (1e-3, 3e-3)
    )
    title = 'UT-Interaction, from scratch'
    return (
        Table('ut-scratch', title, rows, folds=TEN),
        Table(
            'ut-scratch-choice',
            f'{title}: learning rate and epochs',
            choice,
            folds=TEN[::5],
        ),
    )


TABLES = (
    Table(
        'table1',
        'Table 1: training and loss, UCF101, fine-tuned',
        (
            Row(CLIP, 'clip_c3d_ucf101_finetune.py', 51.52),
            Row(VIDEO, 'vll_c3d_ucf101_ce_finetune.py', 53.44),
            Row(ERR, 'vll_c3d_ucf101_err_finetune.py', 55.38),
            Row(EUC, 'vll_c3d_ucf101_euc_finetune.py', 57.11),
            Row(VLL, 'vll_c3d_ucf101_finetune.py', 58.76),
        ),
    ),
    Table(
        'table1-scratch',
        'Variant of Table 1: from scratch, UCF101',
        (
            Row(CLIP, 'clip_c3d_ucf101.py'),
            Row(VIDEO, 'vll_c3d_ucf101_ce.py'),
            Row(ERR, 'vll_c3d_ucf101_err.py'),
            Row(EUC, 'vll_c3d_ucf101_euc.py'),
            Row(VLL, 'vll_c3d_ucf101.py'),
        ),
    ),
    Table(
        'readings',
        "Readings of the paper's recipe, UCF101",
        (
            Row('ours', 'vll_c3d_ucf101_finetune.py', 58.76),
            Row(
                "the text's schedule",
                'vll_c3d_ucf101_finetune_paper-text.py',
                58.76,
            ),
            Row(
                'the released code',
                'vll_c3d_ucf101_finetune_released-code.py',
                58.76,
                gpus=1,
            ),
        ),
    ),
    Table(
        'table2',
        'Table 2: other methods, UCF101',
        (
            _reference('C3D', 51.52, TRAN),
            _reference('Geometry', 55.2, GAN),
            _reference('CD-UAR', 42.5, ZHU),
            _reference('3D-ShuffleNetV2', 56.52, KOPUKLU),
            _reference('MASN', 53.44, WANG),
            Row(VLL, 'vll_c3d_ucf101_finetune.py', 58.76),
        ),
    ),
    Table(
        'table3',
        'Table 3: training and loss, HMDB51, fine-tuned',
        (
            Row(CLIP, 'clip_c3d_hmdb51_finetune.py', 32.6),
            Row(VIDEO, 'vll_c3d_hmdb51_ce_finetune.py', 33.15),
            Row(VLL, 'vll_c3d_hmdb51_finetune.py', 35.38),
        ),
    ),
    Table(
        'table3-scratch',
        'Variant of Table 3: from scratch, HMDB51',
        (
            Row(CLIP, 'clip_c3d_hmdb51.py'),
            Row(VIDEO, 'vll_c3d_hmdb51_ce.py'),
            Row(VLL, 'vll_c3d_hmdb51.py'),
        ),
    ),
    Table(
        'table4',
        'Table 4: other methods, HMDB51',
        (
            _reference('Geometry', 23.3, GAN),
            _reference('MASN', 32.6, WANG),
            _reference('ST-puzzle (Kinetics)', 28.3, KIM),
            _reference('MASN (Kinetics)', 33.4, WANG),
            Row(VLL, 'vll_c3d_hmdb51_finetune.py', 35.38),
        ),
    ),
    Table(
        'figure5',
        'Figure 5: balanced weight α, UCF101, fine-tuned',
        (
            # Not in the paper's figure, but its Table 1 has the number.
            Row('α = 0 (CE)', 'vll_c3d_ucf101_ce_finetune.py', 53.44, alpha=0),
            *(_alpha(tenths) for tenths in range(1, 10)),
        ),
    ),
    *(
        _generated('generated', 'Table 1', _small('quickstart'), degree)
        for degree in AMBIGUITIES
    ),
    *(
        _generated('beyond', 'Beyond the paper', _beyond(), degree)
        for degree in ('some', 'most')
    ),
    _generated(
        'backward-share',
        'Gradient through half of the clips',
        (
            Row(VLL, 'quickstart/vll_c3d_finetune.py', gpus=1),
            Row('half', 'quickstart/vll_c3d_half_finetune.py', gpus=1),
        ),
        'some',
    ),
    *_shares(),
    Table('fights', 'Table 1 on 80 real videos', _small('fights')),
    *_feature_tables('ut', 'UT-Interaction', 'ut_interaction', TEN),
    _choice(),
    *_scratch(),
    *_zoo_tables('ucf101_features', 'UCF101'),
    *_zoo_tables('hmdb51_features', 'HMDB51'),
    *_feature_tables(
        'fights-features', '80 real videos, features', 'fights/features', (1,)
    ),
)
BY_NAME = {table.name: table for table in TABLES}
GROUPS = {'share': [table for table in TABLES if table.share is not None]}
"""Tables that are run together, and drawn as one curve."""

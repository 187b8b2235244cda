"""Tables beside the paper's: docs/evidence.md, which_loss.md, features.md."""

from dataclasses import replace

from .configs import LOADERS
from .rows import CLIP, CONSENSUS, ERR, EUC, VIDEO, VLL, Row, Table

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


def _end_to_end() -> tuple:
    """A small network on the videos of UT-Interaction, and its choices.

    Every row goes on for five epochs from the model that clip level trained
    on the same fold.
    """
    folder = 'ut_interaction/c3d_'
    clip, vll, half, attention, choice = (
        f'{folder}{name}.py'
        for name in ('clip', 'vll', 'vll_half', 'attention', 'choice')
    )

    def row(
        name: str,
        config: str,
        changes: tuple = (),
        start: str = clip,
        lr: float = 1e-3,
    ) -> Row:
        further = (
            ('load_from', f'work_dirs/{start[:-3]}/epoch_10.pth'),
            ('optim_wrapper.optimizer.lr', lr),
            ('train_cfg.max_epochs', 5),
            ('param_scheduler.0.T_max', 5),
        )
        return Row(name, config, gpus=1, changes=further + changes)

    rows = (
        row(CLIP, clip),
        row(VLL, vll),
        row(f'{VLL}, half', half),
        row(f'{CONSENSUS}, CE', vll, _prediction('score', 0.5)),
        row('attention, CE', attention),
    )
    rates = (
        *(
            Row(
                f'from scratch, {rate:g}',
                choice,
                gpus=1,
                changes=_change('optim_wrapper.optimizer', lr=rate),
            )
            for rate in (1e-3, 3e-3, 1e-2)
        ),
        *(
            row(f'from clip level, {rate:g}', choice, (), choice, rate)
            for rate in (3e-4, 1e-3, 3e-3)
        ),
    )
    title = 'UT-Interaction, end to end'
    return (
        Table('ut-video', title, rows, folds=TEN),
        Table(
            'backward-share-ut',
            'Gradient through half of the clips, UT-Interaction',
            rows[1:3],
            folds=TEN,
        ),
        Table(
            'ut-video-choice',
            f'{title}: learning rate',
            rates,
            folds=TEN[::5],
        ),
    )


TABLES = (
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
    *_end_to_end(),
    *_zoo_tables('ucf101_features', 'UCF101'),
    *_zoo_tables('hmdb51_features', 'HMDB51'),
    *_feature_tables(
        'fights-features', '80 real videos, features', 'fights/features', (1,)
    ),
)

"""The paper's tables and Figure 5.

Numbers are the paper's (Shi et al. 2020), accuracies in percent.
"""

from typing import Optional

from .rows import CLIP, ERR, EUC, VIDEO, VLL, Row, Table

TRAN = 'Tran et al., ICCV 2015'
GAN = 'Gan et al., CVPR 2018'
ZHU = 'Zhu et al., CVPR 2018'
KOPUKLU = 'Köpüklü et al., arXiv:1904.02422, 2019'
WANG = 'Wang et al., CVPR 2019'
KIM = 'Kim et al., AAAI 2019'
CONFIGS = {
    CLIP: 'clip_c3d_{}{}.py',
    VIDEO: 'vll_c3d_{}_ce{}.py',
    ERR: 'vll_c3d_{}_err{}.py',
    EUC: 'vll_c3d_{}_euc{}.py',
    VLL: 'vll_c3d_{}{}.py',
}


def _reference(name: str, paper: float, source: str) -> Row:
    return Row(name, paper=paper, source=source)


def _trainings(data: str, end: str, *papers: Optional[float]) -> tuple:
    """Rows of the trainings, as many as there are numbers of the paper."""
    names = (CLIP, VIDEO, VLL) if len(papers) == 3 else CONFIGS
    return tuple(
        Row(name, CONFIGS[name].format(data, end), paper)
        for name, paper in zip(names, papers)
    )


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


TABLES = (
    Table(
        'table1',
        'Table 1: training and loss, UCF101, fine-tuned',
        _trainings('ucf101', '_finetune', 51.52, 53.44, 55.38, 57.11, 58.76),
    ),
    Table(
        'table1-scratch',
        'Variant of Table 1: from scratch, UCF101',
        _trainings('ucf101', '', *[None] * 5),
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
        _trainings('hmdb51', '_finetune', 32.6, 33.15, 35.38),
    ),
    Table(
        'table3-scratch',
        'Variant of Table 3: from scratch, HMDB51',
        _trainings('hmdb51', '', *[None] * 3),
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
)

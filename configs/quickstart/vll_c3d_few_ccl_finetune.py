# Beyond the paper: few clips of more videos a step, and the paper's loss. See
# docs/evidence.md.
_base_ = 'vll_c3d_few_mean_finetune.py'

model = dict(
    cls_head=dict(
        loss_cls=dict(
            alpha=0.3,
            ccl=dict(_delete_=True, type='ConsistentConstraintLoss'),
        )
    )
)

# Beyond the paper: few clips of more videos a step, cross-entropy alone. See
# docs/evidence.md.
_base_ = 'vll_c3d_few_mean_finetune.py'

model = dict(cls_head=dict(loss_cls=dict(alpha=0)))

# Table 1: the error direction loss (Eq. 5) as consistent constraint.
_base_ = 'vll_c3d_ucf101_finetune.py'

ccl = dict(type='ConsistentConstraintLoss', mode='err')
model = dict(cls_head=dict(loss_cls=dict(ccl=ccl)))

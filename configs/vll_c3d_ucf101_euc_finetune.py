# Table 1: the Euclidean distance loss (Eq. 4) as consistent constraint.
_base_ = 'vll_c3d_ucf101_finetune.py'

ccl = dict(type='ConsistentConstraintLoss', mode='euc')
model = dict(cls_head=dict(loss_cls=dict(ccl=ccl)))

# Table 1's row on the fights: the Euclidean distance loss (Eq. 4).
_base_ = 'vll_c3d_finetune.py'

ccl = dict(type='ConsistentConstraintLoss', mode='euc')
model = dict(cls_head=dict(loss_cls=dict(ccl=ccl)))

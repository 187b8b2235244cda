# Table 1's row on the fights: the error direction loss (Eq. 5).
_base_ = 'vll_c3d_finetune.py'

ccl = dict(type='ConsistentConstraintLoss', mode='err')
model = dict(cls_head=dict(loss_cls=dict(ccl=ccl)))

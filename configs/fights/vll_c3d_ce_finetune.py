# Table 1's row on the fights: video-level, cross-entropy alone.
_base_ = 'vll_c3d_finetune.py'

model = dict(cls_head=dict(loss_cls=dict(alpha=0)))

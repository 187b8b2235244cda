# Figure 5: alpha = 0.7; vll_c3d_ucf101_finetune.py is the point 0.3.
_base_ = 'vll_c3d_ucf101_finetune.py'

model = dict(cls_head=dict(loss_cls=dict(alpha=0.7)))

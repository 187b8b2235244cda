# Table 1: video-level batches with cross-entropy alone.
_base_ = 'vll_c3d_ucf101_finetune.py'

model = dict(cls_head=dict(loss_cls=dict(alpha=0)))

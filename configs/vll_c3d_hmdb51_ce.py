# From scratch: video-level batches with cross-entropy alone.
_base_ = 'vll_c3d_hmdb51.py'

model = dict(cls_head=dict(loss_cls=dict(alpha=0)))

# Attention over the clips of a video, beside their own cross-entropy.
_base_ = 'c3d_vll.py'

model = dict(
    cls_head=dict(
        type='VideoAttentionI3DHead',
        loss_cls=dict(_delete_=True, type='VideoAttentionLoss', beta=0.5),
        average_clips='attention',
    )
)

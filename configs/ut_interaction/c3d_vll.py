# The paper's loss, on whole videos. Samplers and loss are all that differs
# from c3d_clip.py.
_base_ = 'c3d_clip.py'

model = dict(
    cls_head=dict(
        loss_cls=dict(_delete_=True, type='VideoLevelLoss', alpha=0.3)
    )
)
train_dataloader = dict(
    batch_size=8,  # videos
    sampler=dict(type='VideoGroupedSampler'),
    batch_sampler=dict(type='VideoGroupedBatchSampler'),
)

# The quickstart's video-level training that starts from the conv layers of
# clip_c3d.py. Samplers and loss are all that differs from its clip-level twin.
_base_ = 'clip_c3d_finetune.py'

model = dict(
    cls_head=dict(
        loss_cls=dict(_delete_=True, type='VideoLevelLoss', alpha=0.3)
    )
)
train_dataloader = dict(
    batch_size=8,  # whole videos
    sampler=dict(type='VideoGroupedSampler'),
    batch_sampler=dict(type='VideoGroupedBatchSampler'),
)

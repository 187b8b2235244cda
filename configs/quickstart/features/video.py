# The paper's loss, on whole videos. Samplers and loss are all that differs
# from clip.py.
_base_ = 'clip.py'

model = dict(cls_head=dict(loss_cls=dict(type='VideoLevelLoss', alpha=0.3)))
train_dataloader = dict(
    batch_size=16,  # videos
    sampler=dict(type='VideoGroupedSampler'),
    batch_sampler=dict(type='VideoGroupedBatchSampler'),
)

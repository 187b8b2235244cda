# Table 3, video-level with the paper's loss: samplers and loss are all that
# differs from clip-level fine-tuning. First train clip_c3d_hmdb51.py.
_base_ = 'clip_c3d_hmdb51_finetune.py'

model = dict(
    cls_head=dict(
        loss_cls=dict(_delete_=True, type='VideoLevelLoss', alpha=0.3)
    )
)
train_dataloader = dict(
    batch_size=2,  # whole videos
    sampler=dict(type='VideoGroupedSampler'),
    batch_sampler=dict(type='VideoGroupedBatchSampler'),
)
auto_scale_lr = dict(base_batch_size=4)

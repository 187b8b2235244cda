# Video-level fine-tuning from the conv layers of a clip-level model, with new
# FC layers, as the paper's released code starts. First train
# clip_c3d_ucf101.py.
_base_ = 'clip_c3d_ucf101_finetune.py'

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

# Video-level training of C3D-lite on UCF101 from scratch, for two GPUs: the
# paper's main experiment. Samplers and loss are all that differs from
# clip-level training.
#
#   bash tools/dist_train.sh configs/vll_c3d_ucf101.py 2
_base_ = 'clip_c3d_ucf101.py'

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

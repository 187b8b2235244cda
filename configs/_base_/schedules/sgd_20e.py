# Training from scratch: 20 epochs, so that a schedule counts videos seen
# (20 x 9,537 on UCF101, split 1) and means the same on any number of GPUs.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.003, momentum=0.9, weight_decay=5e-4),
    clip_grad=dict(max_norm=40, norm_type=2),
    # With 2 GPUs and 2 videos on each 16 videos a step. Few videos a step
    # mean few labels a step, and training from scratch can then collapse to
    # one answer for all.
    accumulative_counts=4,
)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.1,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True,
    ),
    dict(type='MultiStepLR', milestones=[10, 16], gamma=0.1, by_epoch=True),
]

# Counts dataset items a batch (clips here, videos in video-level configs) of
# all GPUs, not the accumulated batches.
auto_scale_lr = dict(enable=False, base_batch_size=44)

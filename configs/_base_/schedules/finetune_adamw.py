# Fine-tuning of a transformer from a
# stock checkpoint, 16 videos a step: 2 GPUs, 2 videos on each, 4 batches.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    # Stock trains Video Swin at 0.001 with 64 clips a step: 0.00025 with 16
    # videos, whose clips are much alike.
    optimizer=dict(
        type='AdamW', lr=2.5e-4, betas=(0.9, 0.999), weight_decay=0.02
    ),
    # The class layer is new and learns at stock's rate; the rest of the
    # network is trained already and learns at a tenth of it.
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
    clip_grad=dict(max_norm=40, norm_type=2),
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
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, begin=1, end=10),
]

# Counts videos a batch of all GPUs, not the accumulated batches.
auto_scale_lr = dict(enable=False, base_batch_size=4)

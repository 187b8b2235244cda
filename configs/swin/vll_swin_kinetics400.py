# Video-level fine-tuning of Video Swin-T on Kinetics-400, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_swin_tiny.py',
    '../_base_/datasets/kinetics400_224.py',
    '../_base_/schedules/finetune_adamw.py',
    '../_base_/default_runtime.py',
]

_base_.train_pipeline[1].update(_base_.clip)
_base_.test_pipeline[1].update(_base_.clip)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

# The checkpoint knows these videos and classes: two epochs, and the class
# layer is trained too, so all layers learn at a tenth of stock's rate.
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys=dict(cls_head=dict(lr_mult=0.1)))
)
train_cfg = dict(max_epochs=2, val_interval=1)
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True,
    )
]
load_from = _base_.checkpoint

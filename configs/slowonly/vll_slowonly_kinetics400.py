# Video-level fine-tuning of SlowOnly-50 on Kinetics-400, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_slowonly_r50.py',
    '../_base_/datasets/kinetics400_224.py',
    '../_base_/schedules/finetune_sgd.py',
    '../_base_/default_runtime.py',
]

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

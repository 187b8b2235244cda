# Video-level fine-tuning of MViTv2-S on UCF101, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_mvit_small.py',
    '../_base_/datasets/ucf101_224.py',
    '../_base_/schedules/finetune_adamw.py',
    '../_base_/default_runtime.py',
]

_base_.train_pipeline[1].update(_base_.clip)
_base_.test_pipeline[1].update(_base_.clip)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

model = dict(cls_head=dict(num_classes=101))
# Stock trains at 0.0016 with 512 clips a step.
optim_wrapper = dict(optimizer=dict(lr=5e-5))
load_from = _base_.checkpoint

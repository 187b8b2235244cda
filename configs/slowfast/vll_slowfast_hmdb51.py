# Video-level fine-tuning of SlowFast-50 on HMDB51, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_slowfast_r50.py',
    '../_base_/datasets/hmdb51_224.py',
    '../_base_/schedules/finetune_sgd.py',
    '../_base_/default_runtime.py',
]

_base_.train_pipeline[1].update(_base_.clip)
_base_.test_pipeline[1].update(_base_.clip)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

model = dict(cls_head=dict(num_classes=51))
load_from = _base_.checkpoint

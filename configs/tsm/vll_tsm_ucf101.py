# Video-level fine-tuning of TSM-50 on UCF101, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_tsm_r50.py',
    '../_base_/datasets/ucf101_224.py',
    '../_base_/schedules/finetune_sgd.py',
    '../_base_/default_runtime.py',
]

# A clip is 8 frames, 8 apart, which are its segments.
layout = dict(input_format='NCHW')
_base_.train_pipeline[-2].update(layout)
_base_.test_pipeline[-2].update(layout)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

model = dict(cls_head=dict(num_classes=101))
# Stock trains at 0.02 with 128 clips a step.
optim_wrapper = dict(optimizer=dict(lr=0.0025))
load_from = _base_.checkpoint

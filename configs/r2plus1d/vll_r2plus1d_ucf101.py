# Video-level fine-tuning of R(2+1)D-34 on UCF101, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_r2plus1d_r34.py',
    '../_base_/datasets/ucf101_224.py',
    '../_base_/schedules/finetune_sgd.py',
    '../_base_/default_runtime.py',
]

model = dict(cls_head=dict(num_classes=101))
# Stock trains at 0.01 with 64 clips a step.
optim_wrapper = dict(optimizer=dict(lr=0.0025))
load_from = _base_.checkpoint

# Video-level fine-tuning of SlowOnly-50 on UCF101, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_slowonly_r50.py',
    '../_base_/datasets/ucf101_224.py',
    '../_base_/schedules/finetune_sgd.py',
    '../_base_/default_runtime.py',
]

model = dict(cls_head=dict(num_classes=101))
load_from = _base_.checkpoint

# Video-level fine-tuning of SlowOnly-50 on UCF101, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_slowonly_r50.py',
    '../_base_/datasets/ucf101_224.py',
    '../_base_/schedules/finetune_sgd.py',
    '../_base_/default_runtime.py',
]

model = dict(cls_head=dict(num_classes=101))
load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb/'
    'slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb_20220901-2132fc87.pth'
)

# Video-level fine-tuning of SlowFast-50 on UCF101, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_slowfast_r50.py',
    '../_base_/datasets/ucf101_224.py',
    '../_base_/schedules/finetune_sgd.py',
    '../_base_/default_runtime.py',
]

# 32 frames, 2 apart: what the checkpoint was trained on.
clip = dict(clip_len=32, frame_interval=2)
_base_.train_pipeline[1].update(clip)
_base_.test_pipeline[1].update(clip)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

model = dict(cls_head=dict(num_classes=101))
load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb/'
    'slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb_20220818-1cb6dfc8.pth'
)

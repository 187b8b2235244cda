# Video-level fine-tuning of MViTv2-S on HMDB51, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_mvit_small.py',
    '../_base_/datasets/hmdb51_224.py',
    '../_base_/schedules/finetune_adamw.py',
    '../_base_/default_runtime.py',
]

# 16 frames, 4 apart: what the checkpoint was trained on.
clip = dict(clip_len=16, frame_interval=4)
_base_.train_pipeline[1].update(clip)
_base_.test_pipeline[1].update(clip)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

model = dict(cls_head=dict(num_classes=51))
# Stock trains at 0.0016 with 512 clips a step.
optim_wrapper = dict(optimizer=dict(lr=5e-5))
load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb/'
    'mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb_20230201-23284ff3.pth'
)

# Video-level fine-tuning of Video Swin-T on HMDB51, from Kinetics-400.
_base_ = [
    '../_base_/models/vll_swin_tiny.py',
    '../_base_/datasets/hmdb51_224.py',
    '../_base_/schedules/finetune_adamw.py',
    '../_base_/default_runtime.py',
]

# 32 frames, 2 apart: what the checkpoint was trained on.
clip = dict(clip_len=32, frame_interval=2)
_base_.train_pipeline[1].update(clip)
_base_.test_pipeline[1].update(clip)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

model = dict(cls_head=dict(num_classes=51))
load_from = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb/'
    'swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb_20220930-241016b2.pth'
)

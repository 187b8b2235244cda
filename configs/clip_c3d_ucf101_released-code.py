# The clip-level start of vll_c3d_ucf101_finetune_released-code.py: input,
# network and initialisation as in the released code. That code loads its conv
# layers from a checkpoint which was not released; how it was trained is not
# known, so the schedule is that of clip_c3d_ucf101.py.
_base_ = 'clip_c3d_ucf101.py'

# Short side 112, centre crop, no augmentation, the first 20 clips.
centre = [
    dict(type='Resize', scale=(-1, 112)),
    dict(type='CenterCrop', crop_size=112),
]
_base_.train_pipeline[1].update(keep='first')
_base_.train_pipeline[2].update(transforms=centre)
_base_.test_pipeline[2].update(transforms=centre)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

model = dict(
    backbone=dict(
        dropout_ratio=0,
        init_cfg=[
            dict(type='Normal', layer='Conv3d', std=0.01),
            dict(type='Normal', layer='Linear', std=0.005, bias=1),
        ],
    ),
    cls_head=dict(init_std=0.01),
    # Raw 0-255 RGB.
    data_preprocessor=dict(mean=[0, 0, 0], std=[1, 1, 1]),
)
# The released code's learning rate: raw input is some 60 times larger.
optim_wrapper = dict(optimizer=dict(lr=0.001))

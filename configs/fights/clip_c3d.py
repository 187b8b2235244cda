# Clip-level training on 80 real surveillance videos, fight or no fight, with
# the quickstart's small network: real input to run on, too few videos to
# conclude anything from.
#
# Videos: 80 of https://github.com/seymanurakti/fight-detection-surv-dataset,
# which has 300 and no lists. docs/evidence.md says how to make lists.
_base_ = '../quickstart/clip_c3d.py'

num_classes = 2
size = 40
_base_.train_pipeline[2].transforms = [
    dict(type='Resize', scale=(-1, 48)),
    dict(type='RandomCrop', size=size),
    dict(type='Flip', flip_ratio=0.5),
]
_base_.test_pipeline[2].transforms = [
    dict(type='Resize', scale=(-1, 48)),
    dict(type='CenterCrop', crop_size=size),
]
dataset = dict(data_root='data/fights', data_prefix=dict(video='videos'))
train_dataloader = dict(
    dataset=dict(
        num_classes=num_classes, pipeline=_base_.train_pipeline, **dataset
    ),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline, **dataset))
test_dataloader = val_dataloader
model = dict(cls_head=dict(num_classes=num_classes))

param_scheduler = [dict(type='MultiStepLR', milestones=[15, 18], gamma=0.1)]
train_cfg = dict(max_epochs=20, val_interval=5)

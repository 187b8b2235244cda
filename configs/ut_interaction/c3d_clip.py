# A small C3D-lite from scratch on the videos, clip-level cross-entropy.
# Fold 1 of 10; tools/experiments.py takes the others. See docs/evidence.md.
_base_ = '../quickstart/clip_c3d.py'

num_classes = 6
size = 32
cache = dict(folder='work_dirs/frames', max_gb=4)
resize = dict(type='Resize', scale=(36, 36), keep_ratio=False)
for pipeline in (_base_.train_pipeline, _base_.test_pipeline):
    pipeline[1].update(clip_len=8, frame_interval=2)
    pipeline[2].update(cache=cache)
_base_.train_pipeline[2].transforms = [
    resize,
    dict(type='RandomCrop', size=size),
    dict(type='Flip', flip_ratio=0.5),
]
_base_.test_pipeline[2].transforms = [
    resize,
    dict(type='CenterCrop', crop_size=size),
]
data = dict(data_root='data/ut_interaction', data_prefix=dict(video='videos'))
train_dataloader = dict(
    batch_size=54,  # clips, as 8 videos have on average
    num_workers=0,
    dataset=dict(
        ann_file='train_fold_1.txt',
        num_classes=num_classes,
        pipeline=_base_.train_pipeline,
        **data,
    ),
)
val_dataloader = dict(
    num_workers=0,
    dataset=dict(
        ann_file='test_fold_1.txt', pipeline=_base_.test_pipeline, **data
    ),
)
test_dataloader = val_dataloader
model = dict(
    backbone=dict(input_size=(8, size, size)),
    cls_head=dict(num_classes=num_classes),
)

# The learning rate of three by which this config was best on training videos,
# table ut-video-choice of tools/experiments.py.
optimizer = dict(_delete_=True, type='AdamW', lr=3e-3, weight_decay=0.01)
optim_wrapper = dict(optimizer=optimizer)
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=10,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
train_cfg = dict(max_epochs=10)

# The quickstart's clip-level training: clip_c3d_ucf101.py on small generated
# videos, with a small network and a short schedule. Nothing else differs.
_base_ = '../clip_c3d_ucf101.py'

# Dataset and size. No flips: they would turn left into right.
num_classes = 8
size = 40
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type='ReadVideoClips', transforms=[dict(type='RandomCrop', size=size)]
)
test_pipeline = _base_.test_pipeline
test_pipeline[2].transforms = [dict(type='CenterCrop', crop_size=size)]
dataset = dict(data_root='data/quickstart', data_prefix=dict(video=''))
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    pin_memory=False,  # without a GPU PyTorch would warn of it
    dataset=dict(
        ann_file='train.txt',
        num_classes=num_classes,
        pipeline=train_pipeline,
        **dataset,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(ann_file='test.txt', pipeline=test_pipeline, **dataset),
)
test_dataloader = val_dataloader
model = dict(
    backbone=dict(
        conv_channels=(8, 16, 32, 64, 64),
        fc_channels=128,
        input_size=(16, size, size),
        channels_last=True,  # twice as fast on a CPU
    ),
    cls_head=dict(num_classes=num_classes, in_channels=128),
)

# Schedule
optim_wrapper = dict(optimizer=dict(lr=0.01), accumulative_counts=1)
param_scheduler = [dict(type='MultiStepLR', milestones=[4, 5], gamma=0.1)]
train_cfg = dict(max_epochs=6, val_interval=1)

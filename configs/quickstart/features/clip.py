# Clip-level cross-entropy of a linear layer on the features of
# clip_c3d_features.py.
_base_ = '../../ut_interaction/clip.py'

num_classes = 8
channels = 128
model = dict(
    backbone=dict(in_channels=channels),
    cls_head=dict(num_classes=num_classes, in_channels=channels),
)
data = dict(
    data_root='data/quickstart',
    features='../../work_dirs/quickstart/clip_c3d_features/features',
    num_classes=num_classes,
)
train_dataloader = dict(
    batch_size=97,  # clips, as 16 videos have on average
    dataset=dict(ann_file='train.txt', **data),
)
val_dataloader = dict(dataset=dict(ann_file='test.txt', **data))
test_dataloader = val_dataloader

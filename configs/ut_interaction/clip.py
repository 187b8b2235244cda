# Clip-level cross-entropy of a linear layer on the features of features.py.
# Fold 1 of 10; tools/experiments.py takes the others. See docs/evidence.md.
_base_ = '../_base_/features.py'

num_classes = 6
channels = 2560
model = dict(
    backbone=dict(in_channels=channels),
    cls_head=dict(
        num_classes=num_classes, in_channels=channels, dropout_ratio=0.3
    ),
)
data = dict(
    data_root='data/ut_interaction',
    features='features/efficientnet_lite0',
    num_classes=num_classes,
)
train_dataloader = dict(
    batch_size=107,  # clips, as 16 videos have on average
    dataset=dict(ann_file='train_fold_1.txt', **data),
)
val_dataloader = dict(dataset=dict(ann_file='test_fold_1.txt', **data))
test_dataloader = val_dataloader

epochs = 10
# The rate of four by which clip level was best on training videos, table
# ut-choice of tools/experiments.py.
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=3e-3))
train_cfg = dict(
    type='EpochBasedTrainLoop',
    max_epochs=epochs,
    val_begin=epochs,
    val_interval=epochs,
)
default_hooks = dict(checkpoint=dict(interval=epochs))

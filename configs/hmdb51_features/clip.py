# Clip-level cross-entropy of a linear layer on features of HMDB51, split 1, by
# SlowOnly-50. Of another network change `features` and the channels.
_base_ = '../_base_/features.py'

num_classes = 51
model = dict(cls_head=dict(num_classes=num_classes))
data = dict(
    data_root='data/hmdb51',
    features='features/slowonly',
    num_classes=num_classes,
)
train_dataloader = dict(
    batch_size=85,  # clips, as 16 videos have on average
    dataset=dict(ann_file='hmdb51_train_split_1_videos.txt', **data),
)
val_dataloader = dict(
    dataset=dict(ann_file='hmdb51_val_split_1_videos.txt', **data)
)
test_dataloader = val_dataloader

epochs = 10
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=epochs)]
train_cfg = dict(
    type='EpochBasedTrainLoop',
    max_epochs=epochs,
    val_begin=epochs,
    val_interval=epochs,
)
default_hooks = dict(checkpoint=dict(interval=epochs))

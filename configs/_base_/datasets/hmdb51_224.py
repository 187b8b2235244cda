# HMDB51, split 1: read and cut as UCF101.
_base_ = 'ucf101_224.py'

data_root = 'data/hmdb51'

train_dataloader = dict(
    dataset=dict(
        ann_file='hmdb51_train_split_1_videos.txt',
        data_root=data_root,
        num_classes=51,
    ),
)
val_dataloader = dict(
    dataset=dict(
        ann_file='hmdb51_val_split_1_videos.txt', data_root=data_root
    ),
)
test_dataloader = val_dataloader

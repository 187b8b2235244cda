# Clip-level cross-entropy of a linear layer on features of HMDB51, split 1, by
# SlowOnly-50. Of another network change `features` and the channels.
_base_ = '../ucf101_features/clip.py'

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

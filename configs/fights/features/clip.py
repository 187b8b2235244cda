# Clip-level cross-entropy of a linear layer on the features of features.py.
_base_ = '../../ut_interaction/clip.py'

num_classes = 2
model = dict(cls_head=dict(num_classes=num_classes))
data = dict(
    data_root='data/fights',
    features='features/efficientnet_lite0',
    num_classes=num_classes,
)
train_dataloader = dict(
    batch_size=49,  # clips, as 16 videos have on average
    dataset=dict(ann_file='train.txt', **data),
)
val_dataloader = dict(dataset=dict(ann_file='test.txt', **data))
test_dataloader = val_dataloader

# For the choice of the learning rate: within the training videos of each fold
# the sequences of the next one are held out.
_base_ = 'c3d_clip.py'

train_dataloader = dict(dataset=dict(ann_file='choice_train_fold_1.txt'))
val_dataloader = dict(dataset=dict(ann_file='choice_test_fold_1.txt'))
test_dataloader = val_dataloader

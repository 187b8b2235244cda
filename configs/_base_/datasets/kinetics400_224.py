# Kinetics-400: read as UCF101. Folders and lists as MMAction2 prepares them.
_base_ = 'ucf101_224.py'

data_root = 'data/kinetics400'

# Videos of 10 seconds: 4 clips of 64 frames, side by side. With a start every
# 16 frames an epoch would be 4 million clips.
stride = dict(clip_stride=64)
_base_.train_pipeline[1].update(stride)
_base_.test_pipeline[1].update(stride)

train_dataloader = dict(
    dataset=dict(
        ann_file='kinetics400_train_list_videos.txt',
        data_root=data_root,
        data_prefix=dict(video='videos_train'),
        num_classes=400,
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        ann_file='kinetics400_val_list_videos.txt',
        data_root=data_root,
        data_prefix=dict(video='videos_val'),
        pipeline=_base_.test_pipeline,
    ),
)
test_dataloader = val_dataloader

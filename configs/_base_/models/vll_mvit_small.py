# MViTv2-S: stock's model, video level.
_base_ = 'mmaction::_base_/models/mvit_small.py'

model = dict(
    type='VideoLevelRecognizer3D',
    cls_head=dict(
        type='VideoLevelMViTHead',
        loss_cls=dict(type='VideoLevelLoss', alpha=0.3),
        average_clips='vote',
    ),
    # Half of the clips that stock trains on a GPU at once.
    train_cfg=dict(max_training_views=8),
    test_cfg=dict(max_testing_views=16),
)

# In MMAction2's zoo, trained on Kinetics-400.
checkpoint = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb/'
    'mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb_20230201-23284ff3.pth'
)
# 16 frames, 4 apart: what it was trained on.
clip = dict(clip_len=16, frame_interval=4)

# R(2+1)D-34: stock's model, video level.
_base_ = 'mmaction::_base_/models/r2plus1d_r34.py'

model = dict(
    type='VideoLevelRecognizer3D',
    # The checkpoint is loaded whole. BatchNorm keeps its statistics: those of
    # the clips of one or two videos are no estimate.
    backbone=dict(pretrained=None, norm_eval=True),
    cls_head=dict(
        type='VideoLevelI3DHead',
        loss_cls=dict(type='VideoLevelLoss', alpha=0.3),
        average_clips='vote',
    ),
    # Half of the clips that stock trains on a GPU at once.
    train_cfg=dict(max_training_views=4),
    test_cfg=dict(max_testing_views=8),
)

# In MMAction2's zoo, trained on Kinetics-400.
checkpoint = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb/'
    'r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb_20220812-47cfe041.pth'
)

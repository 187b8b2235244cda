# SlowOnly-50: stock's model, video level.
_base_ = 'mmaction::_base_/models/slowonly_r50.py'

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
    train_cfg=dict(max_training_views=8),
    test_cfg=dict(max_testing_views=16),
)

# In MMAction2's zoo, trained on Kinetics-400.
checkpoint = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb/'
    'slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb_20220901-2132fc87.pth'
)

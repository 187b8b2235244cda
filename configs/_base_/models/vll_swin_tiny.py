# Video Swin-T: stock's model, video level.
_base_ = 'mmaction::_base_/models/swin_tiny.py'

model = dict(
    type='VideoLevelRecognizer3D',
    # The checkpoint is loaded whole.
    backbone=dict(pretrained=None, pretrained2d=False),
    cls_head=dict(
        type='VideoLevelI3DHead',
        loss_cls=dict(type='VideoLevelLoss', alpha=0.3),
        average_clips='vote',
    ),
    # Half of the clips that stock trains on a GPU at once.
    train_cfg=dict(max_training_views=4),
    test_cfg=dict(max_testing_views=8),
)

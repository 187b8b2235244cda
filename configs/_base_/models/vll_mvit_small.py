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

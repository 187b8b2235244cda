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

# In MMAction2's zoo, trained on Kinetics-400.
checkpoint = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb/'
    'swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb_20220930-241016b2.pth'
)
# 32 frames, 2 apart: what it was trained on.
clip = dict(clip_len=32, frame_interval=2)

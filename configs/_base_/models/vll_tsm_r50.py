# TSM-50: stock's model, video level.
_base_ = 'mmaction::_base_/models/tsm_r50.py'

model = dict(
    type='VideoLevelRecognizer2D',
    # The checkpoint is loaded whole. BatchNorm keeps its statistics: those of
    # the clips of one or two videos are no estimate.
    backbone=dict(pretrained=None, pretrained2d=False, norm_eval=True),
    cls_head=dict(
        type='VideoLevelTSMHead',
        loss_cls=dict(type='VideoLevelLoss', alpha=0.3),
        average_clips='vote',
    ),
    # Half of the clips that stock trains on a GPU at once.
    train_cfg=dict(_delete_=True, max_training_views=8),
    test_cfg=dict(_delete_=True, max_testing_views=16),
)

# In MMAction2's zoo, trained on Kinetics-400.
checkpoint = (
    'https://download.openmmlab.com/mmaction/v1.0/recognition/'
    'tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb/'
    'tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb_20220831-64d69186.pth'
)

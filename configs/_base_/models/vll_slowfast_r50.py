# SlowFast-50: stock's model, video level.
_base_ = 'mmaction::_base_/models/slowfast_r50.py'

model = dict(
    type='VideoLevelRecognizer3D',
    # The checkpoint is loaded whole. BatchNorm keeps its statistics: those of
    # the clips of one or two videos are no estimate.
    backbone=dict(
        resample_rate=4,  # 8 of the 32 frames, as in stock's 8x8 config
        speed_ratio=4,
        slow_pathway=dict(norm_eval=True, fusion_kernel=7),
        fast_pathway=dict(norm_eval=True),
    ),
    cls_head=dict(
        type='VideoLevelSlowFastHead',
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
    'slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb/'
    'slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb_20220818-1cb6dfc8.pth'
)
# 32 frames, 2 apart: what it was trained on.
clip = dict(clip_len=32, frame_interval=2)

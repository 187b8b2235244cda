# The paper's network (Sec. 3.2, Fig. 3) with its class layer.
model = dict(
    type='VideoLevelRecognizer3D',
    backbone=dict(type='C3DLite', dropout_ratio=0.05),
    cls_head=dict(
        type='VideoLevelI3DHead',
        num_classes=101,
        in_channels=4096,
        spatial_type=None,  # the backbone's features are flat
        dropout_ratio=0,  # the backbone drops after fc6 and fc7
        loss_cls=dict(type='CrossEntropyLoss'),
        average_clips='vote',
    ),
    # The released code takes raw 0-255 input; normalised input is what
    # Kaiming initialisation is made for.
    data_preprocessor=dict(
        type='ClipDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW',
    ),
    train_cfg=None,
    # Clips that run through the network at once, however long the video is.
    test_cfg=dict(max_testing_views=32),
)

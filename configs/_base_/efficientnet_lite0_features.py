# Writes features of EfficientNet-Lite0, trained on ImageNet, of clips of 16
# frames, of which every second is looked at.
_base_ = 'default_runtime.py'

model = dict(
    type='Recognizer3D',
    backbone=dict(type='EfficientNetLite0'),
    cls_head=dict(
        type='VideoLevelI3DHead',
        num_classes=1000,  # of no meaning: only its input is written
        in_channels=2560,
        spatial_type=None,
        average_clips='prob',
    ),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[127, 127, 127],
        std=[128, 128, 128],
        format_shape='NCTHW',
    ),
)
pipeline = [
    dict(type='VideoReaderInit'),
    dict(type='SampleVideoClips', clip_len=8, frame_interval=2),
    dict(
        type='ReadVideoClips',
        transforms=[dict(type='Resize', scale=(224, 224), keep_ratio=False)],
        seek=True,
    ),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_dataloader = dict(
    batch_size=2,  # clips: memory for more takes longer than the work
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='VideoClipDataset', test_mode=True, pipeline=pipeline),
)
test_cfg = dict(type='ClipFeatureLoop')
test_evaluator = []

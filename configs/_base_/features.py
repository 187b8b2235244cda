# Training on features of clips that were written before, see docs/features.md:
# the network is a linear layer, the data are read in no time.
_base_ = 'default_runtime.py'

model = dict(
    type='Recognizer3D',
    backbone=dict(type='FeatureBackbone', in_channels=2048),
    cls_head=dict(
        type='VideoLevelI3DHead',
        num_classes=101,
        in_channels=2048,
        spatial_type=None,
        dropout_ratio=0.5,
        average_clips='vote',
    ),
    data_preprocessor=dict(type='FeatureDataPreprocessor'),
)
train_dataloader = dict(
    batch_size=128,  # clips
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='ClipBatchSampler'),
    dataset=dict(type='ClipFeatureDataset'),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ClipFeatureDataset', test_mode=True),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type='AccMetric'), dict(type='ClipConsistencyMetric')]
test_evaluator = [
    dict(type='AccMetric'),
    dict(
        type='ClipConsistencyMetric',
        out_file='work_dirs/{config}/clip_results.npz',
    ),
]
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# UCF101, split 1, video by video, for networks of MMAction2's model zoo: 8
# frames, 8 apart, 224 x 224. Configs of other networks change the clip.
_base_ = 'ucf101.py'

train_pipeline = [
    dict(type='DecordInit'),
    # Clips this long overlap: with a start every 16 frames a video has about
    # as many as of the paper's, which are 16 frames long.
    dict(
        type='SampleVideoClips',
        clip_len=8,
        frame_interval=8,
        clip_stride=16,
        max_clips=20,
        keep='random',
    ),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='DecordInit'),
    dict(
        type='SampleVideoClips', clip_len=8, frame_interval=8, clip_stride=16
    ),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(
        type='PackActionInputs',
        meta_keys=('filename', 'frame_inds', 'total_frames', 'num_clips'),
    ),
]

train_dataloader = dict(
    batch_size=2,  # whole videos
    sampler=dict(type='VideoGroupedSampler'),
    batch_sampler=dict(type='VideoGroupedBatchSampler'),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

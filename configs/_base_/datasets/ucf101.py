# UCF101, split 1: clips of 16 frames in training, all clips of a video in
# testing. Clip-level batches; video-level configs exchange the samplers.
data_root = 'data/ucf101'
data_prefix = dict(video='videos')

# VideoReaderInit and ReadVideoClips give the pixels of DecordInit,
# DecordDecode and the transforms inside, several times faster. For those,
# write:
#
#   dict(type='DecordInit'),
#   dict(type='SampleVideoClips', ...),
#   dict(type='DecordDecode'),
#   dict(type='Resize', scale=(-1, 128)),
#   dict(type='RandomCrop', size=112),
train_pipeline = [
    dict(type='VideoReaderInit'),
    # A quarter of UCF101's videos has more than 15 clips, the longest 111. As
    # in the released code a video gives at most 20, which bounds the memory;
    # random ones, so that every part of it is seen over the epochs (the
    # released code takes the first 20).
    dict(type='SampleVideoClips', clip_len=16, max_clips=20, keep='random'),
    # "resized to 112*112 with random crop" (Sec. 4.1)
    dict(
        type='ReadVideoClips',
        transforms=[
            dict(type='Resize', scale=(-1, 128)),
            dict(type='RandomCrop', size=112),
        ],
        # For clips of longer videos than UCF101's, which have one key frame.
        seek=True,
    ),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='VideoReaderInit'),
    dict(type='SampleVideoClips', clip_len=16),
    dict(
        type='ReadVideoClips',
        transforms=[
            dict(type='Resize', scale=(-1, 128)),
            dict(type='CenterCrop', crop_size=112),
        ],
    ),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(
        type='PackActionInputs',
        meta_keys=('filename', 'frame_inds', 'total_frames', 'num_clips'),
    ),
]

train_dataloader = dict(
    # Clips a GPU. With 2 GPUs and 4 accumulated batches 176 clips a step, as
    # many as the 16 videos of a video-level step have on average.
    batch_size=22,
    num_workers=8,
    persistent_workers=True,
    # With a GPU a thread puts clips where they can be copied from at once.
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='ClipBatchSampler'),
    dataset=dict(
        type='VideoClipDataset',
        ann_file='ucf101_train_split_1_videos.txt',
        data_root=data_root,
        data_prefix=data_prefix,
        num_classes=101,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    # Videos differ in their number of clips: one at a time.
    batch_size=1,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='WholeVideoDataset',
        # Longer videos than UCF101's are read while the network scores them.
        stream_above=128,
        ann_file='ucf101_val_split_1_videos.txt',
        data_root=data_root,
        data_prefix=data_prefix,
        pipeline=test_pipeline,
        test_mode=True,
    ),
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

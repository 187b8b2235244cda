# Writes the features of all videos of UCF101 by TSM-50, trained on
# Kinetics-400, for configs/ucf101_features: docs/features.md.
_base_ = 'vll_tsm_ucf101.py'

test_dataloader = dict(
    batch_size=32,  # clips
    dataset=dict(
        _base_.train_dataloader.dataset,
        _delete_=True,
        ann_file='ucf101_videos.txt',
        pipeline=_base_.test_pipeline,
        test_mode=True,
    ),
)
test_cfg = dict(
    _delete_=True,
    type='ClipFeatureLoop',
    out_dir='data/ucf101/features/tsm',
)
test_evaluator = []

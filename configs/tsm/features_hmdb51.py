# Writes the features of all videos of HMDB51 by TSM-50, trained on
# Kinetics-400, for configs/hmdb51_features: docs/features.md.
_base_ = 'vll_tsm_hmdb51.py'

test_dataloader = dict(
    batch_size=32,  # clips
    dataset=dict(
        _base_.train_dataloader.dataset,
        _delete_=True,
        ann_file='hmdb51_videos.txt',
        pipeline=_base_.test_pipeline,
        test_mode=True,
    ),
)
test_cfg = dict(
    _delete_=True,
    type='ClipFeatureLoop',
    out_dir='data/hmdb51/features/tsm',
)
test_evaluator = []

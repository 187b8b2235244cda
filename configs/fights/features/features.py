# Writes the features of all 80 videos, for the other configs of this
# folder: docs/evidence.md.
_base_ = '../../_base_/efficientnet_lite0_features.py'

part = dict(
    type='VideoClipDataset',
    data_root='data/fights',
    data_prefix=dict(video='videos'),
    num_classes=2,
    pipeline=_base_.pipeline,
    test_mode=True,
)
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            dict(ann_file='train.txt', **part),
            dict(ann_file='test.txt', **part),
        ],
    )
)
test_cfg = dict(out_dir='data/fights/features/efficientnet_lite0')

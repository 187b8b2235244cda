# Writes the features of all 120 videos, for the other configs of this folder:
# docs/evidence.md.
_base_ = '../_base_/efficientnet_lite0_features.py'

test_dataloader = dict(
    dataset=dict(
        ann_file='videos.txt',
        data_root='data/ut_interaction',
        data_prefix=dict(video='videos'),
        num_classes=6,
    )
)
test_cfg = dict(out_dir='data/ut_interaction/features/efficientnet_lite0')

# Clip-level training from scratch, and then the features of all clips for the
# configs in features/. Unlike clip_c3d.py it looks at every second frame, and
# AdamW learns in a few epochs even where few clips show the class. See
# docs/which_loss.md.
_base_ = 'clip_c3d.py'

cache = dict(folder='work_dirs/frames', max_gb=4)
for pipeline in (_base_.train_pipeline, _base_.test_pipeline):
    pipeline[1].update(clip_len=8, frame_interval=2)
    pipeline[2].update(cache=cache)
train_dataloader = dict(
    num_workers=0, dataset=dict(pipeline=_base_.train_pipeline)
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
part = dict(
    _base_.train_dataloader.dataset,
    pipeline=_base_.test_pipeline,
    test_mode=True,
)
test_dataloader = dict(
    batch_size=32,  # clips
    num_workers=0,
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            part,
            dict(part, ann_file='test.txt'),
        ],
    ),
)
test_cfg = dict(
    _delete_=True,
    type='ClipFeatureLoop',
    out_dir='work_dirs/quickstart/clip_c3d_features/features',
)
test_evaluator = []
model = dict(backbone=dict(input_size=(8, 40, 40)))

optimizer = dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.01)
optim_wrapper = dict(optimizer=optimizer)
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=6,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]

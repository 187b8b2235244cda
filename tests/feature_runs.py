"""Features of small videos, written and trained on by stock tools."""

import numpy as np
from stock_tools import ROOT, small_config

from vll_mmaction.datasets.feature_store import FeatureStoreWriter

CLIP_LEN = 4
RULE = dict(
    clip_len=CLIP_LEN, frame_interval=1, clip_stride=CLIP_LEN, short='loop'
)

WRITE = """
part = dict(
    type='VideoClipDataset', ann_file='ann.txt', data_root={data_root!r},
    data_prefix=dict(video='videos'), test_mode=True, pipeline=[
        dict(type='VideoReaderInit'),
        dict(type='SampleVideoClips', clip_len=4),
        dict(type='ReadVideoClips', transforms=[
            dict(type='CenterCrop', crop_size=32)]),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs')])
test_dataloader = dict(
    _delete_=True, batch_size=5, num_workers=0, dataset=part,
    sampler=dict(type='DefaultSampler', shuffle=False))
test_evaluator = []
test_cfg = dict(
    _delete_=True, type='ClipFeatureLoop', out_dir={out_dir!r})
"""

TRAIN = """
_base_ = {base!r}
model = dict(
    backbone=dict(in_channels={channels}),
    cls_head=dict(num_classes=2, in_channels={channels}))
data = dict(
    ann_file='ann.txt', data_root={data_root!r}, features={features!r},
    num_classes=2)
train_dataloader = dict(batch_size=4, dataset=dict(**data))
val_dataloader = dict(dataset=dict(**data))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=2, val_interval=2, val_begin=2)
default_hooks = dict(checkpoint=dict(save_best=None))
"""

VIDEOS = """
model['cls_head']['loss_cls'] = dict(type='VideoLevelLoss', alpha=0.3)
train_dataloader.update(
    batch_size=2, sampler=dict(type='VideoGroupedSampler'),
    batch_sampler=dict(type='VideoGroupedBatchSampler'))
"""


def writing_config(path, data_root, out_dir, extra=''):
    """A config by which test.py writes features of C3D-lite, 16 numbers."""
    extra += WRITE.format(data_root=str(data_root), out_dir=str(out_dir))
    return small_config(path, 'vll_c3d_ucf101.py', data_root, extra=extra)


def training_config(path, data_root, features, channels=16, extra=''):
    """A config that trains a linear layer on features."""
    text = TRAIN.format(
        base=str(ROOT / 'configs/_base_/features.py'),
        data_root=str(data_root),
        features=str(features),
        channels=channels,
    )
    path.write_text(text + extra)
    return str(path)


def write_store(folder, frames, channels=16, draws=1, labels=None, **about):
    """Random features of videos of so many frames, and their list.

    Returns:
        ndarray: (M, draws, channels) float16.
    """
    frames = np.array(frames)
    names = [f'{number}.avi' for number in range(len(frames))]
    labels = np.arange(len(frames)) % 2 if labels is None else labels
    counts = np.maximum(frames // CLIP_LEN, 1)
    shape = [int(counts.sum()), draws, channels]
    about = dict(
        dict(source='1234567890abcdef', config='some.py', weights='w'),
        clip_rule=RULE,
        shape=shape,
        pipeline='',
        seed=0,
        **about,
    )
    columns = dict(
        filenames=np.array(names), labels=labels, total_frames=frames
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = str(folder / 'features')
    assert not FeatureStoreWriter.create(path, about, columns)
    writer = FeatureStoreWriter(path)
    rng = np.random.default_rng(0)
    features = rng.random(shape).astype(np.float16)
    for draw in range(draws):
        rows = np.arange(shape[0])
        inds = np.tile(rows[:, None], CLIP_LEN)
        writer.write(rows, draw, features[:, draw], inds)
    writer.flush()
    writer.finish()
    lines = [f'{name} {label}\n' for name, label in zip(names, labels)]
    (folder / 'ann.txt').write_text(''.join(lines))
    return features

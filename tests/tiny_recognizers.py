"""Recognizers of a few parameters, and batches for them."""

import numpy as np
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch import nn

MEAN, STD = [120.0, 110.0, 100.0], [58.0, 57.0, 56.0]


@MODELS.register_module()
class TinyNet3D(nn.Module):
    """A convolution, dropout and perhaps a norm: (N, 8, 2, 3, 3)."""

    def __init__(self, norm=None, norm_eval=False, dropout=0.3):
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 3, stride=2, padding=1)
        self.norm = norm(8) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.norm_eval = norm_eval
        self.seen = []

    def train(self, mode=True):
        super().train(mode)
        if self.norm_eval:
            self.norm.eval()
        return self

    def forward(self, x):
        self.seen.append(len(x))
        x = self.dropout(self.norm(self.conv(x)).relu())
        return F.adaptive_avg_pool3d(x, (2, 3, 3))


@MODELS.register_module()
class TinyNet2D(nn.Module):
    """Two features a frame that know the frame's brightness."""

    def __init__(self, **kwargs):
        super().__init__()
        vars(self).update(kwargs)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return self.conv(x).relu()


@MODELS.register_module()
class TinyNeck(nn.Module):
    """A neck with a loss of its own, mean over the clips."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 4)

    def forward(self, x, data_samples=None):
        loss_aux = {}
        if data_samples is not None:
            label = torch.cat([sample.gt_label for sample in data_samples])
            score = self.fc(x.mean((2, 3, 4)))
            loss_aux = dict(loss_aux=F.cross_entropy(score, label))
        return x, loss_aux


def build(
    views=None, *, two_d=False, backbone=None, head=None, test_cfg=None, **kw
):
    name = '2D' if two_d else '3D'
    if test_cfg is None and two_d:
        test_cfg = dict(num_segs=2)
    config = dict(
        type=f'VideoLevelRecognizer{name}',
        backbone={'type': f'TinyNet{name}', **(backbone or {})},
        cls_head={
            'type': f'VideoLevel{"TSN" if two_d else "I3D"}Head',
            'num_classes': 4,
            'in_channels': 8,
            'loss_cls': dict(type='VideoLevelLoss'),
            'average_clips': 'vote',
            **(head or {}),
        },
        data_preprocessor=dict(
            type='ActionDataPreprocessor',
            mean=MEAN,
            std=STD,
            format_shape='NCHW' if two_d else 'NCTHW',
        ),
        train_cfg=views and dict(max_training_views=views),
        test_cfg=test_cfg,
    )
    return MODELS.build({**config, **kw})


def batch(counts=(5, 2), shape=(1, 3, 4, 6, 6), seed=0):
    """Clips of several videos as the dataset gives them."""
    rng = np.random.default_rng(seed)
    inputs, samples = [], []
    for video, count in enumerate(counts):
        for _ in range(count):
            inputs.append(torch.from_numpy(rng.integers(0, 256, shape)).byte())
            sample = ActionDataSample().set_gt_label(video % 4)
            sample.set_metainfo(dict(video_id=video))
            samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def no_recomputation(run, *arguments, **_):
    return run(*arguments)


def sample(num_clips):
    out = ActionDataSample().set_gt_label(1)
    out.set_metainfo(dict(num_clips=num_clips))
    return out

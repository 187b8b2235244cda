"""One small head of each kind, and what it takes."""

import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

FEATURE = torch.Size([8, 2, 3, 3])


# Stock head: its arguments, features of n clips, keywords of forward.
HEADS = dict(
    I3DHead=(dict(), lambda n: torch.randn(n, *FEATURE), {}),
    SlowFastHead=(
        dict(),
        lambda n: (torch.randn(n, 5, 2, 3, 3), torch.randn(n, 3, 4, 3, 3)),
        {},
    ),
    X3DHead=(dict(), lambda n: torch.randn(n, *FEATURE), {}),
    TSNHead=(dict(), lambda n: torch.randn(n * 3, 8, 3, 3), dict(num_segs=3)),
    TSMHead=(
        dict(num_segments=4),
        lambda n: torch.randn(n * 4, 8, 3, 3),
        dict(num_segs=4),
    ),
    TRNHead=(
        dict(num_segments=4, hidden_dim=6, relation_type='TRN'),
        lambda n: torch.randn(n * 4, 8, 3, 3),
        dict(num_segs=4),
    ),
    TPNHead=(dict(), lambda n: torch.randn(n, *FEATURE), {}),
    MViTHead=(
        dict(),
        lambda n: ([torch.randn(n, *FEATURE), torch.randn(n, 8)],),
        {},
    ),
    TimeSformerHead=(dict(), lambda n: torch.randn(n, 8), {}),
    UniFormerHead=(dict(), lambda n: torch.randn(n, 8), {}),
    OmniHead=(
        dict(image_classes=4, video_classes=4),
        lambda n: torch.randn(n, *FEATURE),
        {},
    ),
)


def build(name, **kwargs):
    stock = name.replace('VideoLevel', '').replace('VideoAttention', '')
    own = HEADS[stock][0]
    classes = {} if 'image_classes' in own else dict(num_classes=4)
    return MODELS.build(
        dict(type=name, in_channels=8, **classes, **own, **kwargs)
    )


def samples(labels, ids=None, **metainfo):
    out = []
    for i, label in enumerate(labels):
        sample = ActionDataSample().set_gt_label(label)
        if ids is not None:
            metainfo['video_id'] = ids[i]
        sample.set_metainfo(metainfo)
        out.append(sample)
    return out

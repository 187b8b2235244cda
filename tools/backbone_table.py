"""Tries every recognition family of MMAction2 with video-level learning.

Takes each family's stock config from the installed package, makes it video
level by the edit that the tutorial describes, makes it small, trains one step
on clips of several videos and lets the clips of a video vote. Writes what
came out as a Markdown table:

    python tools/backbone_table.py > docs/backbones.md
"""

import copy
import os.path as osp
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple
from unittest import mock

import mmaction
import numpy as np
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import Tensor

import vll_mmaction  # noqa: F401

RECOGNITION = osp.join(
    osp.dirname(mmaction.__file__), '.mim/configs/recognition'
)
CLIPS = (3, 1)  # of the videos of the training step

PAGE = """# Backbones

Which of MMAction2's recognition networks work with video-level learning.
Every family that MMAction2 1.2.0 ships was tried: a stock config from
`configs/recognition`, with `VideoLevel` before the types of recognizer and
head and `loss_cls=dict(type='VideoLevelLoss')`, reduced in size, on a CPU,
from random weights. "yes" means that

- three clips of a video, tested together, get the same scores as each alone,
  and vote;
- a training step on clips of two videos, two clips at a time
  (`max_training_views=2`), has the loss that plain loops over its logits give
  (except where stock smooths the labels) and finite gradients, and changes the
  backbone's weights.

"attention" says whether a training step also works with `VideoAttention`
before the type of the head and `loss_cls=dict(type='VideoAttentionLoss')`.

It does not mean that the network was trained to convergence. Written by
`python tools/backbone_table.py > docs/backbones.md`; a test compares.

| family | backbone | head | recognizer | works | attention | stock config |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

- A 2D network whose backbone and head have no `num_segments` (TSN) needs
  `test_cfg=dict(num_segs=...)`, the frames of a clip.
- C3D, MViT, TimeSformer, UniFormerV2 and VideoMAE are built for one clip
  length or size: `clip_len` and crop of the pipeline must match the
  checkpoint.
- The stock config of R(2+1)D has SyncBN: with `max_training_views` it needs
  `norm_eval=True`.
- TPN's stock configs have `fcn_test=True`, which attention doesn't go with:
  `test_cfg=dict(fcn_test=False)`.
- OmniSource trains on images and videos together in MMAction2, here on videos
  alone.
- Networks for skeletons and audio do not apply to clips of frames.
"""


# Name, as its paper or MMAction2 calls it, and a stock config in
# configs/recognition.
STOCK = """
C2D | c2d/c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb
C3D | c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb
I3D | i3d/i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb
I3D, non-local | i3d/i3d_imagenet-pretrained-r50-nl-embedded-gaussian_8xb8-32x2x1-100e_kinetics400-rgb
SlowOnly | slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb
SlowOnly, flow | slowonly/slowonly_r50_8xb16-16x4x1-256e_kinetics400-flow
SlowFast | slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb
CSN | csn/ircsn_r152_32x2x1-180e_kinetics400-rgb
R(2+1)D | r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb
TPN-SlowOnly | tpn/tpn-slowonly_r50_8xb8-8x8x1-150e_kinetics400-rgb
TPN-TSM | tpn/tpn-tsm_imagenet-pretrained-r50_8xb8-1x1x8-150e_sthv1-rgb
X3D | x3d/x3d_s_13x6x1_facebook-kinetics400-rgb
MViT | mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb
Video Swin | swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb
TimeSformer | timesformer/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb
UniFormer | uniformer/uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb
UniFormerV2 | uniformerv2/uniformerv2-base-p16-res224_clip_8xb32-u8_kinetics400-rgb
VideoMAE | videomae/vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400
VideoMAE V2 | videomaev2/vit-small-p16_videomaev2-vit-g-dist-k710-pre_16x4x1_kinetics-400
TSN | tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb
TSN, flow | tsn/tsn_imagenet-pretrained-r50_8xb32_5x1x3-110e_kinetics400-flow
TSN, DenseNet-161 | tsn/custom_backbones/tsn_imagenet-pretrained-dense161_8xb32-1x1x3-100e_kinetics400-rgb
TSN, ResNeXt-101 | tsn/custom_backbones/tsn_imagenet-pretrained-rn101-32x4d_8xb32-1x1x3-100e_kinetics400-rgb
TSN, Swin | tsn/custom_backbones/tsn_imagenet-pretrained-swin-transformer_8xb32-1x1x3-100e_kinetics400-rgb
TSM | tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb
TSM, MobileNetV2 | tsm/tsm_imagenet-pretrained-mobilenetv2_8xb16-1x1x8-100e_kinetics400-rgb
TSM, MobileOne | tsm/tsm_imagenet-pretrained-mobileone-s4_8xb16-1x1x16-50e_kinetics400-rgb
TIN | tin/tin_imagenet-pretrained-r50_8xb6-1x1x8-40e_sthv1-rgb
TRN | trn/trn_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv1-rgb
TANet | tanet/tanet_imagenet-pretrained-r50_8xb8-1x1x8-50e_sthv1-rgb
OmniSource | omnisource/slowonly_r50_8xb16-8x8x1-256e_imagenet-kinetics400-rgb
"""  # noqa: E501

# Frames, height and width of the clips tried.
CLIP = (8, 32, 32)
CLIPS_OF = {
    'C3D': (16, 112, 112),  # its first FC layer fixes the size
    'SlowFast': (32, 32, 32),
    'MViT': (4, 64, 64),
    'Video Swin': (4, 64, 64),
    'TSN': (3, 32, 32),
    'TSN, flow': (1, 32, 32),
    'TSN, DenseNet-161': (3, 32, 32),
    'TSN, ResNeXt-101': (3, 32, 32),
    'TSN, Swin': (3, 32, 32),
    'TSM, MobileOne': (16, 32, 32),
}
# Stock turns 2D weights into these, and must be given some then.
NO_2D_WEIGHTS = dict(pretrained2d=False)
SMALL_VIT = dict(img_size=32, num_frames=8, depth=4)
# What makes their backbones small.
SMALL = {
    'CSN': dict(depth=50),
    # Stock's SyncBN and max_training_views exclude each other.
    'R(2+1)D': dict(norm_eval=True),
    'TPN-TSM': NO_2D_WEIGHTS,
    'MViT': dict(spatial_size=64, temporal_size=4),
    'Video Swin': NO_2D_WEIGHTS,
    'TimeSformer': dict(img_size=32, num_transformer_layers=2),
    'UniFormerV2': dict(
        input_resolution=32,
        layers=4,
        return_list=[0, 1, 2, 3],
        clip_pretrained=False,
    ),
    'VideoMAE': SMALL_VIT,
    'VideoMAE V2': SMALL_VIT,
    'TSM': NO_2D_WEIGHTS,
    'TSM, MobileNetV2': NO_2D_WEIGHTS,
    'TSM, MobileOne': dict(arch='s0'),
    'TIN': NO_2D_WEIGHTS,
}


class Family(NamedTuple):
    """A line of ``STOCK``, with its clips and what makes it small."""

    name: str
    config: str
    clip: tuple
    small: dict


FAMILIES = tuple(
    Family(name, config, CLIPS_OF.get(name, CLIP), SMALL.get(name, {}))
    for line in STOCK.strip().splitlines()
    for name, config in [line.split(' | ')]
)


def video_level(model: dict, num_segs: int) -> dict:
    """The edit that makes a stock model video level, on a copy.

    ``num_segs``, the frames of a clip, is asked for by 2D networks that take
    any number.
    """
    model = copy.deepcopy(model)
    # OmniSource trains on images too; on videos alone it is a 3D recognizer.
    stock = model['type'].replace('RecognizerOmni', 'Recognizer3D')
    model['type'] = f'VideoLevel{stock}'
    head = model['cls_head']
    head['type'] = f'VideoLevel{head["type"]}'
    head['loss_cls'] = dict(type='VideoLevelLoss')
    head['average_clips'] = 'vote'
    # A preprocessor may blend clips of different videos.
    model['data_preprocessor'].pop('blending', None)
    if stock == 'Recognizer2D':
        model['test_cfg'] = dict(model.get('test_cfg') or {})
        model['test_cfg']['num_segs'] = num_segs
    return model


def small_model(family: Family) -> dict:
    """Video-level model of a family, small and without pretrained weights."""
    config = Config.fromfile(osp.join(RECOGNITION, f'{family.config}.py'))
    config.merge_from_dict(dict(model=dict(backbone=family.small)))
    model = config.model.to_dict()
    _forget_weights(model)
    model = video_level(model, num_segs=family.clip[0])
    # Two clips at a time.
    model['train_cfg'] = dict(max_training_views=2)
    return model


def _forget_weights(config) -> None:
    if isinstance(config, dict):
        if 'pretrained' in config:
            config['pretrained'] = None
        if (config.get('init_cfg') or {}).get('type') == 'Pretrained':
            del config['init_cfg']
    if isinstance(config, (dict, list, tuple)):
        values = config.values() if isinstance(config, dict) else config
        for value in values:
            _forget_weights(value)


def random_clip(model: dict, clip: Sequence[int]) -> torch.Tensor:
    """A clip as ``FormatShape`` lays it out for the model, uint8."""
    frames, *size = clip
    if '2D' in model['type']:
        channels = model['backbone'].get('in_channels', 3)
        shape = (frames, channels, *size)
    else:
        channels = len(model['data_preprocessor'].get('mean') or 'rgb')
        shape = (1, channels, frames, *size)
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def expected_loss(logits: Tensor, labels: Tensor, ids: Tensor) -> dict:
    """Eq. 3's two terms, video by video, at the default options.

    Args:
        logits (Tensor): (M, K).
        labels (Tensor): (M,).
        ids (Tensor): (M,), the video of each clip.

    Returns:
        dict[str, Tensor]: Weighted cross-entropy and consistency.
    """
    ce, ccl = [], []
    for video in ids.unique():
        own, label = logits[ids == video], labels[ids == video]
        ce.append(F.cross_entropy(own, label))
        probs, right = own.softmax(1), own.argmax(1) == label
        distances = F.pdist(probs)
        if right.any():
            away = probs[~right] - probs[right].mean(0)
            distances = torch.linalg.vector_norm(away, dim=1)
        ccl.append(distances.sum() / max(1, len(distances)))
    terms = torch.stack(ce).mean(), torch.stack(ccl).mean()
    return dict(loss_ce=0.7 * terms[0], loss_ccl=0.3 * terms[1])


def expected_attention_loss(
    scores: Tensor, labels: Tensor, ids: Tensor
) -> dict:
    """The two terms of ``VideoAttentionLoss``, video by video.

    Args:
        scores (Tensor): Logits and the gate's score, (M, K + 1).
        labels (Tensor): (M,).
        ids (Tensor): (M,), the video of each clip.

    Returns:
        dict[str, Tensor]: Weighted cross-entropy of clips and videos.
    """
    clips, videos = [], []
    for video in ids.unique():
        own, label = scores[ids == video], labels[ids == video]
        weights = own[:, -1:].softmax(0)
        clips.append(F.cross_entropy(own[:, :-1], label))
        mean = (weights * own[:, :-1]).sum(0)
        videos.append(F.cross_entropy(mean, label[0]))
    terms = torch.stack(clips).mean(), torch.stack(videos).mean()
    return dict(loss_ce=0.5 * terms[0], loss_video=0.5 * terms[1])


def try_family(family: Family) -> tuple[str, str]:
    """Let clips vote and train a step, then one with attention.

    Returns:
        tuple[str, str]: '' if all is as it should be, else what is missing;
        likewise of attention.

    Raises:
        AssertionError: The loss, the vote or the step is not what it should
            be.
    """
    config = small_model(family)
    draw = partial(random_clip, config, family.clip)
    torch.manual_seed(0)
    np.random.seed(0)
    try:
        model = MODELS.build(config)
        model.init_weights()
        _spread(model.cls_head)
        check_vote(model, draw)
        check_step(model, draw, expected_loss)
        return '', try_attention(model, config['cls_head'], draw)
    except ImportError as error:
        missing = str(error).splitlines()[0].strip().rstrip('.')
    except KeyError:
        # Registered only where the package it is made of is installed.
        backbone = config['backbone']['type']
        if backbone in MODELS.module_dict:
            raise
        missing = f'{backbone} needs mmpretrain'
    return missing, ''


def try_attention(model, head: dict, draw: Callable[[], Tensor]) -> str:
    """Give a model a head with attention and train a step.

    Returns:
        str: '' if all is as it should be, else why the head can't serve.
    """
    head = dict(
        head,
        type=head['type'].replace('VideoLevel', 'VideoAttention'),
        loss_cls=dict(type='VideoAttentionLoss'),
        average_clips='attention',
    )
    try:
        model.cls_head = MODELS.build(head)
    except ValueError as error:
        return str(error).rpartition('since ')[2]
    _spread(model.cls_head)
    before = model.cls_head.gate.v.weight.detach().clone()
    check_step(model, draw, expected_attention_loss)
    assert (model.cls_head.gate.v.weight != before).any()
    return ''


def _spread(head) -> None:
    # Heads start close to zero: all clips would vote alike.
    for name, parameter in head.named_parameters():
        if parameter.dim() > 1 and not name.startswith('consensus'):
            torch.nn.init.normal_(parameter, std=0.1)


def check_step(
    model, draw: Callable[[], Tensor], expected: Callable[..., dict]
) -> None:
    """Train a step on clips that ``draw`` gives, and compare its loss.

    ``expected`` is :func:`expected_loss` or its like.
    """
    ids = torch.arange(len(CLIPS)).repeat_interleave(torch.tensor(CLIPS))
    labels = 5 * ids + 1
    samples = []
    for video, label in zip(ids.tolist(), labels.tolist()):
        sample = ActionDataSample().set_gt_label(label)
        sample.set_metainfo(dict(video_id=video))
        samples.append(sample)
    data = dict(inputs=[draw() for _ in ids], data_samples=samples)
    head, before = model.cls_head, copy.deepcopy(model.backbone).parameters()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    stock = head.loss_by_feat
    with mock.patch.object(head, 'loss_by_feat', side_effect=stock) as called:
        log = model.train().train_step(data, OptimWrapper(optimizer))
    logits = called.call_args_list[0][0][0].detach()
    assert len(logits) == len(ids)
    if not head.label_smooth_eps:
        for name, term in expected(logits.double(), labels, ids).items():
            torch.testing.assert_close(
                log[name].double(), term, rtol=1e-4, atol=1e-6
            )
    for parameter in model.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()
    after = model.backbone.parameters()
    assert any((a != b).any() for a, b in zip(after, before))


def check_vote(model, draw: Callable[[], Tensor]) -> None:
    """Compare the clips of a video, tested together, with each alone."""
    clips = [draw() for _ in range(3)]

    def predict(inputs, num_clips):
        sample = ActionDataSample().set_gt_label(0)
        sample.set_metainfo(dict(num_clips=num_clips))
        np.random.seed(0)  # TRN draws in testing too
        with torch.no_grad():
            return model.test_step(
                dict(inputs=[inputs], data_samples=[sample])
            )[0]

    model.eval()
    video = predict(torch.cat(clips), 3)
    scores = video.clip_scores
    alone = torch.cat([predict(one, 1).clip_scores for one in clips])
    torch.testing.assert_close(scores, alone, rtol=1e-3, atol=1e-4)
    votes = F.one_hot(scores.argmax(1), scores.shape[1]).sum(0)
    expected = (votes + scores.mean(0)) / (len(scores) + 1)
    torch.testing.assert_close(
        video.pred_score, expected, rtol=1e-4, atol=1e-6
    )


def row(family: Family, missing: str, attention: str) -> str:
    """Row of the table, with what :func:`try_family` gave; Markdown."""
    model = small_model(family)
    backbone = model['backbone']['type']
    works = f'no: {missing}' if missing else 'yes'
    attends = f'no: {attention}' if attention else '–' if missing else 'yes'
    cells = (
        family.name,
        f'`{backbone}`',
        f'`{model["cls_head"]["type"]}`',
        f'`{model["type"]}`',
        works,
        attends,
        f'`{family.config}`',
    )
    return f'| {" | ".join(cells)} |'


def main() -> None:
    """Try all families and print the page."""
    warnings.simplefilter('ignore')
    init_default_scope('mmaction')
    MMLogger.get_current_instance().setLevel('ERROR')
    # As fast as two, and it leaves the others alone.
    torch.set_num_threads(1)
    rows = [row(family, *try_family(family)) for family in FAMILIES]
    print(PAGE.format(rows='\n'.join(rows)), end='')


if __name__ == '__main__':
    main()

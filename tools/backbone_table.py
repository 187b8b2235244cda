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
from dataclasses import dataclass, field

import mmaction
import numpy as np
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope

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


@dataclass(frozen=True)
class Family:
    """A family of stock configs, and how one of them is made small.

    Args:
        name (str): As its paper or MMAction2 calls it.
        config (str): Stock config, in ``configs/recognition``.
        clip (tuple[int]): Frames, height and width of the clips tried.
        small (dict): Merged into ``model`` to make it small.
    """

    name: str
    config: str
    clip: tuple = (8, 32, 32)
    small: dict = field(default_factory=dict)

    @property
    def path(self) -> str:
        """str: The stock config's file."""
        return osp.join(RECOGNITION, self.config)


def _backbone(**kwargs) -> dict:
    return dict(backbone=kwargs)


# Stock turns 2D weights into these, and must be given some then.
NO_2D_WEIGHTS = _backbone(pretrained2d=False)
FAMILIES = (
    Family('C2D', 'c2d/c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb.py'),
    Family(
        'C3D',
        'c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb.py',
        # Its first FC layer fixes the size.
        (16, 112, 112),
    ),
    Family(
        'I3D',
        'i3d/i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb.py',
    ),
    Family(
        'I3D, non-local',
        'i3d/i3d_imagenet-pretrained-r50-nl-embedded-gaussian_8xb8-32x2x1-100e_'
        'kinetics400-rgb.py',
    ),
    Family(
        'SlowOnly', 'slowonly/slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb.py'
    ),
    Family(
        'SlowOnly, flow',
        'slowonly/slowonly_r50_8xb16-16x4x1-256e_kinetics400-flow.py',
    ),
    Family(
        'SlowFast',
        'slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb.py',
        (32, 32, 32),
    ),
    Family(
        'CSN',
        'csn/ircsn_r152_32x2x1-180e_kinetics400-rgb.py',
        small=_backbone(depth=50),
    ),
    Family(
        'R(2+1)D',
        'r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb.py',
        # Stock's SyncBN and max_training_views exclude each other.
        small=_backbone(norm_eval=True),
    ),
    Family(
        'TPN-SlowOnly',
        'tpn/tpn-slowonly_r50_8xb8-8x8x1-150e_kinetics400-rgb.py',
    ),
    Family(
        'TPN-TSM',
        'tpn/tpn-tsm_imagenet-pretrained-r50_8xb8-1x1x8-150e_sthv1-rgb.py',
        small=NO_2D_WEIGHTS,
    ),
    Family('X3D', 'x3d/x3d_s_13x6x1_facebook-kinetics400-rgb.py'),
    Family(
        'MViT',
        'mvit/mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb.py',
        (4, 64, 64),
        _backbone(spatial_size=64, temporal_size=4),
    ),
    Family(
        'Video Swin',
        'swin/swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_'
        'kinetics400-rgb.py',
        (4, 64, 64),
        NO_2D_WEIGHTS,
    ),
    Family(
        'TimeSformer',
        'timesformer/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb.py',
        small=_backbone(img_size=32, num_transformer_layers=2),
    ),
    Family(
        'UniFormer',
        'uniformer/uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb.py',
    ),
    Family(
        'UniFormerV2',
        'uniformerv2/uniformerv2-base-p16-res224_clip_8xb32-u8_'
        'kinetics400-rgb.py',
        small=_backbone(
            input_resolution=32,
            layers=4,
            return_list=[0, 1, 2, 3],
            clip_pretrained=False,
        ),
    ),
    Family(
        'VideoMAE',
        'videomae/vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400.py',
        small=_backbone(img_size=32, num_frames=8, depth=4),
    ),
    Family(
        'VideoMAE V2',
        'videomaev2/vit-small-p16_videomaev2-vit-g-dist-k710-pre_16x4x1_'
        'kinetics-400.py',
        small=_backbone(img_size=32, num_frames=8, depth=4),
    ),
    Family(
        'TSN',
        'tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb.py',
        (3, 32, 32),
    ),
    Family(
        'TSN, flow',
        'tsn/tsn_imagenet-pretrained-r50_8xb32_5x1x3-110e_kinetics400-flow.py',
        (1, 32, 32),
    ),
    Family(
        'TSN, DenseNet-161',
        'tsn/custom_backbones/tsn_imagenet-pretrained-dense161_8xb32-1x1x3-'
        '100e_kinetics400-rgb.py',
        (3, 32, 32),
    ),
    Family(
        'TSN, ResNeXt-101',
        'tsn/custom_backbones/tsn_imagenet-pretrained-rn101-32x4d_8xb32-'
        '1x1x3-100e_kinetics400-rgb.py',
        (3, 32, 32),
    ),
    Family(
        'TSN, Swin',
        'tsn/custom_backbones/tsn_imagenet-pretrained-swin-transformer_8xb32-'
        '1x1x3-100e_kinetics400-rgb.py',
        (3, 32, 32),
    ),
    Family(
        'TSM',
        'tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb.py',
        small=NO_2D_WEIGHTS,
    ),
    Family(
        'TSM, MobileNetV2',
        'tsm/tsm_imagenet-pretrained-mobilenetv2_8xb16-1x1x8-100e_'
        'kinetics400-rgb.py',
        small=NO_2D_WEIGHTS,
    ),
    Family(
        'TSM, MobileOne',
        'tsm/tsm_imagenet-pretrained-mobileone-s4_8xb16-1x1x16-50e_'
        'kinetics400-rgb.py',
        (16, 32, 32),
        _backbone(arch='s0'),
    ),
    Family(
        'TIN',
        'tin/tin_imagenet-pretrained-r50_8xb6-1x1x8-40e_sthv1-rgb.py',
        small=NO_2D_WEIGHTS,
    ),
    Family(
        'TRN', 'trn/trn_imagenet-pretrained-r50_8xb16-1x1x8-50e_sthv1-rgb.py'
    ),
    Family(
        'TANet',
        'tanet/tanet_imagenet-pretrained-r50_8xb8-1x1x8-50e_sthv1-rgb.py',
    ),
    Family(
        'OmniSource',
        'omnisource/slowonly_r50_8xb16-8x8x1-256e_imagenet-kinetics400-rgb.py',
    ),
)


def video_level(model: dict, num_segs: int) -> dict:
    """The edit that makes a stock model video level.

    Args:
        model (dict): ``model`` of a stock config.
        num_segs (int): Frames of a clip; asked for by 2D networks that take
            any number.

    Returns:
        dict: The edited copy.
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
    """Video-level model of a family, small and without pretrained weights.

    Args:
        family (Family): One of :data:`FAMILIES`.

    Returns:
        dict: Its config.
    """
    config = Config.fromfile(family.path)
    config.merge_from_dict(dict(model=family.small))
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


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities of logits, over the last axis."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def expected_loss(
    logits: np.ndarray, labels: Sequence[int], ids: Sequence[int]
) -> dict[str, float]:
    """Eq. 3's two terms by plain loops, at the default options.

    Args:
        logits (np.ndarray): (M, K).
        labels (Sequence[int]): (M,).
        ids (Sequence[int]): Video of each clip.

    Returns:
        dict[str, float]: Weighted cross-entropy and consistency.
    """
    log_probs = log_softmax(logits)
    probs = np.exp(log_probs)
    ce, ccl = [], []
    for video in sorted(set(ids)):
        own = [i for i, v in enumerate(ids) if v == video]
        label = labels[own[0]]
        ce.append(-np.mean([log_probs[i, label] for i in own]))
        wrong = [i for i in own if logits[i].argmax() != label]
        right = [i for i in own if i not in wrong]
        if right:
            mean = np.mean([probs[i] for i in right], axis=0)
            distances = [np.linalg.norm(probs[i] - mean) for i in wrong]
        else:
            distances = [
                np.linalg.norm(probs[i] - probs[j])
                for i in own
                for j in own
                if i < j
            ]
        ccl.append(np.mean(distances) if distances else 0.0)
    return dict(loss_ce=0.7 * np.mean(ce), loss_ccl=0.3 * np.mean(ccl))


def expected_attention_loss(
    scores: np.ndarray, labels: Sequence[int], ids: Sequence[int]
) -> dict[str, float]:
    """The two terms of ``VideoAttentionLoss`` by plain loops.

    Args:
        scores (np.ndarray): Logits and the gate's score, (M, K + 1).
        labels (Sequence[int]): (M,).
        ids (Sequence[int]): Video of each clip.

    Returns:
        dict[str, float]: Weighted cross-entropy of clips and videos.
    """
    clips, videos = [], []
    for video in sorted(set(ids)):
        own = [i for i, v in enumerate(ids) if v == video]
        label = labels[own[0]]
        logits, gate = scores[own, :-1], scores[own, -1]
        weights = np.exp(gate) / np.exp(gate).sum()
        videos.append(-log_softmax(weights @ logits)[label])
        clips.append(-np.mean(log_softmax(logits)[:, label]))
    return dict(loss_ce=0.5 * np.mean(clips), loss_video=0.5 * np.mean(videos))


def try_family(family: Family) -> tuple[str, str]:
    """Let clips vote and train a step, then one with attention.

    Args:
        family (Family): One of :data:`FAMILIES`.

    Returns:
        tuple[str, str]: '' if all is as it should be, else what is missing;
        likewise of attention.

    Raises:
        AssertionError: The loss or the vote is not what it should be.
    """
    config = small_model(family)
    torch.manual_seed(0)
    np.random.seed(0)
    try:
        model = MODELS.build(config)
        model.init_weights()
        _spread(model.cls_head)
        check_vote(model, config, family.clip)
        check_step(model, config, family.clip, expected_loss)
        return '', try_attention(model, config, family.clip)
    except ImportError as error:
        missing = str(error).splitlines()[0].strip().rstrip('.')
    except KeyError:
        # Registered only where the package it is made of is installed.
        backbone = config['backbone']['type']
        if backbone in MODELS.module_dict:
            raise
        missing = f'{backbone} needs mmpretrain'
    return missing, ''


def try_attention(model, config: dict, clip: Sequence[int]) -> str:
    """Train a step with attention.

    Args:
        model (nn.Module): A video-level recognizer, which gets another head.
        config (dict): Its config.
        clip (Sequence[int]): Frames, height and width.

    Returns:
        str: '' if all is as it should be, else why the head can't serve.

    Raises:
        AssertionError: The loss or the step is not what it should be.
    """
    head = config['cls_head']
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
    check_step(model, config, clip, expected_attention_loss)
    assert (model.cls_head.gate.v.weight != before).any()
    return ''


def _spread(head) -> None:
    # Heads start close to zero: all clips would vote alike.
    for name, parameter in head.named_parameters():
        if parameter.dim() > 1 and not name.startswith('consensus'):
            torch.nn.init.normal_(parameter, std=0.1)


def check_step(
    model, config: dict, clip: Sequence[int], expected: Callable
) -> None:
    """Train a step and compare its loss with plain loops.

    Args:
        model (nn.Module): A video-level recognizer.
        config (dict): Its config.
        clip (Sequence[int]): Frames, height and width.
        expected (Callable): Called as :func:`expected_loss`.

    Raises:
        AssertionError: The loss or the step is not what it should be.
    """
    ids = [video for video, m in enumerate(CLIPS) for _ in range(m)]
    labels = [5 * video + 1 for video in ids]
    samples = []
    for video, label in zip(ids, labels):
        sample = ActionDataSample().set_gt_label(label)
        sample.set_metainfo(dict(video_id=video))
        samples.append(sample)
    data = dict(
        inputs=[random_clip(config, clip) for _ in ids], data_samples=samples
    )
    logits = _record(model.cls_head, 'loss_by_feat')
    before = [p.detach().clone() for p in model.backbone.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    log = model.train().train_step(data, OptimWrapper(optimizer))
    smooth = model.cls_head.label_smooth_eps
    assert logits[0].shape[0] == len(ids)
    if not smooth:
        terms = expected(logits[0].double().numpy(), labels, ids)
        for name, term in terms.items():
            np.testing.assert_allclose(
                float(log[name]), term, rtol=1e-4, atol=1e-6
            )
    for parameter in model.parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all()
    after = model.backbone.parameters()
    assert any((a != b).any() for a, b in zip(after, before))


def check_vote(model, config: dict, clip: Sequence[int]) -> None:
    """Compare the clips of a video, tested together, with each alone.

    Args:
        model (nn.Module): A video-level recognizer.
        config (dict): Its config.
        clip (Sequence[int]): Frames, height and width.

    Raises:
        AssertionError: Their scores or their vote are not what they should be.
    """
    clips = [random_clip(config, clip) for _ in range(3)]

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
    alone = torch.cat([predict(one, 1).clip_scores for one in clips])
    torch.testing.assert_close(video.clip_scores, alone, rtol=1e-3, atol=1e-4)
    scores = video.clip_scores.numpy()
    votes = np.bincount(scores.argmax(1), minlength=scores.shape[1])
    expected = (votes + scores.mean(0)) / (len(scores) + 1)
    np.testing.assert_allclose(
        video.pred_score, expected, rtol=1e-4, atol=1e-6
    )


def _record(head, method: str) -> list:
    """Keep the logits that a method of the head is called with."""
    kept, stock = [], getattr(head, method)

    def wrapped(cls_scores, *args, **kwargs):
        kept.append(cls_scores.detach().clone())
        return stock(cls_scores, *args, **kwargs)

    setattr(head, method, wrapped)
    return kept


def row(family: Family, missing: str, attention: str) -> str:
    """Row of the table.

    Args:
        family (Family): One of :data:`FAMILIES`.
        missing (str): What :func:`try_family` gave.
        attention (str): The same, of attention.

    Returns:
        str: Markdown.
    """
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
        f'`{osp.splitext(family.config)[0]}`',
    )
    return f'| {" | ".join(cells)} |'


def table() -> str:
    """Try all families.

    Returns:
        str: The page, Markdown.

    Raises:
        AssertionError: A family's loss or vote is not what it should be.
    """
    rows = [row(family, *try_family(family)) for family in FAMILIES]
    return PAGE.format(rows='\n'.join(rows))


def main() -> None:
    """Print the page."""
    warnings.simplefilter('ignore')
    init_default_scope('mmaction')
    MMLogger.get_current_instance().setLevel('ERROR')
    # As fast as two, and it leaves the others alone.
    torch.set_num_threads(1)
    print(table(), end='')


if __name__ == '__main__':
    main()

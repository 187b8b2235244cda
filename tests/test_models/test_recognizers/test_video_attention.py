"""Attention over clips in stock networks: chunks, testing, precision."""

import copy
import functools

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.optim import OptimWrapper
from tiny_recognizers import (
    batch,
    gradients,
    sample,
    step_of,
    steps_of_two_ranks,
)
from torch import nn
from torch.testing import assert_close

pytestmark = pytest.mark.usefixtures('one_thread')

PATHWAY = dict(
    type='resnet3d',
    depth=18,
    base_channels=16,
    pretrained=None,
    conv1_kernel=(1, 7, 7),
    conv1_stride_t=1,
    pool1_stride_t=1,
    norm_eval=True,
)
# Backbone, head, width of the features, shape of a clip.
NETWORKS = dict(
    I3D=(
        dict(type='ResNet3d', depth=18, base_channels=16, pretrained2d=False),
        dict(type='VideoAttentionI3DHead'),
        128,
        (1, 3, 4, 32, 32),
    ),
    SlowFast=(
        dict(
            type='ResNet3dSlowFast',
            pretrained=None,
            resample_rate=4,
            speed_ratio=4,
            channel_ratio=2,
            slow_pathway=dict(PATHWAY, lateral=True),
            fast_pathway=dict(PATHWAY, base_channels=8, lateral=False),
        ),
        dict(type='VideoAttentionSlowFastHead'),
        128 + 64,
        (1, 3, 16, 32, 32),
    ),
    TSM=(
        dict(type='ResNetTSM', depth=18, num_segments=4, pretrained2d=False),
        dict(type='VideoAttentionTSMHead', num_segments=4),
        512,
        (4, 3, 32, 32),
    ),
    TSN=(
        dict(type='ResNet', depth=18),
        dict(type='VideoAttentionTSNHead'),
        512,
        (3, 3, 32, 32),
    ),
)


def build(name, views=None, testing_views=None):
    torch.manual_seed(0)
    backbone, head, width, shape = NETWORKS[name]
    dimensions = '2D' if len(shape) == 4 else '3D'
    test_cfg = dict(num_segs=shape[0]) if dimensions == '2D' else {}
    if testing_views:
        test_cfg['max_testing_views'] = testing_views
    model = MODELS.build(
        dict(
            type=f'VideoLevelRecognizer{dimensions}',
            backbone=backbone,
            cls_head=dict(
                head,
                num_classes=4,
                in_channels=width,
                dropout_ratio=0,
                average_clips='attention',
                attention_channels=5,
            ),
            data_preprocessor=dict(
                type='ActionDataPreprocessor',
                mean=[120.0, 110.0, 100.0],
                std=[58.0, 57.0, 56.0],
                format_shape='NCHW' if dimensions == '2D' else 'NCTHW',
            ),
            train_cfg=views and dict(max_training_views=views),
            test_cfg=test_cfg,
        )
    )
    nn.init.normal_(model.cls_head.fc_cls.weight)
    nn.init.normal_(model.cls_head.gate.w.weight)
    return model.eval()


@torch.no_grad()
def scores_one_by_one(model, clips):
    """What the head gives for each clip alone, (M, K + 1)."""
    scores = []
    for clip in clips:
        data = dict(inputs=[clip], data_samples=[sample(1)])
        data = model.data_preprocessor(data)
        scores.append(model.extract_feat(data['inputs'], stage='head')[0])
    return torch.cat(scores)


@pytest.mark.parametrize('name', NETWORKS)
def test_chunks_give_the_gradient_of_the_whole(name):
    model, whole = build(name, views=2), build(name)
    whole.load_state_dict(model.state_dict())
    data = batch((3, 1, 2), shape=NETWORKS[name][3])
    losses, grads = gradients(model, data)
    expected_losses, expected = gradients(whole, data)
    assert {'loss_ce', 'loss_video'} <= set(losses)
    assert_close(losses, expected_losses)
    for parameter, grad in grads.items():
        scale = expected[parameter].abs().max().item()
        assert scale > 0, parameter
        assert_close(grad, expected[parameter], rtol=1e-3, atol=1e-4 * scale)
    # The loss is that of the logits of clips scored one by one.
    scores = scores_one_by_one(model, data['inputs'])
    loss = model.cls_head.loss_by_feat(scores, data['data_samples'])
    assert_close(losses['loss_video'], loss['loss_video'])


@pytest.mark.parametrize('name', NETWORKS)
def test_a_video_of_one_clip_gives_every_parameter_a_gradient(name):
    model = build(name, views=2)
    _, grads = gradients(model, batch((1,), shape=NETWORKS[name][3]))
    for parameter, grad in grads.items():
        assert grad is not None, parameter
        assert grad.isfinite().all()
        assert grad.any() != ('gate' in parameter), parameter


@pytest.mark.parametrize('name', ['I3D', 'TSM'])
def test_autocast(name):
    model, whole = build(name, views=2), build(name)
    data = batch((3, 1), shape=NETWORKS[name][3])
    losses, grads = gradients(model, data, torch.bfloat16)
    assert losses['loss_video'].dtype == torch.float32
    exact, _ = gradients(whole, data)
    assert_close(losses['loss_video'], exact['loss_video'], rtol=0.1, atol=0.1)
    # PyTorch's own backward pass of such a 3D convolution gives NaN on CPUs.
    head = [grad for n, grad in grads.items() if n.startswith('cls_head')]
    assert all(grad.isfinite().all() and grad.any() for grad in head)


def test_accumulation_equals_one_step_less_often():
    name = 'cls_head.gate.v.weight'
    models = [build('I3D', views=2), build('I3D')]
    start = models[0].state_dict()[name].clone()
    for model in models:
        wrapper = OptimWrapper(
            torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2
        )
        wrapper.initialize_count_status(model, 0, 2)
        for seed in range(2):
            data = batch((2, 1), shape=NETWORKS['I3D'][3], seed=seed)
            model.train_step(data, wrapper)
    one, other = (model.state_dict() for model in models)
    assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert not torch.equal(one[name], start)


def test_two_processes_take_the_step_of_one(tmp_path):
    """A video each, of 3 clips and of 1."""
    make = functools.partial(build, 'I3D', views=2)
    data = batch((3, 1), shape=NETWORKS['I3D'][3])
    first, second = steps_of_two_ranks(tmp_path, make, data, 3)
    alone = make()
    start = copy.deepcopy(alone.state_dict())
    step_of(alone, data)
    for name, value in alone.state_dict().items():
        assert torch.equal(first[name], second[name])
        assert_close(first[name], value, rtol=1e-4, atol=1e-5)
    for name in ('v', 'u', 'w'):
        name = f'cls_head.gate.{name}.weight'
        assert not torch.equal(first[name], start[name])


@pytest.mark.parametrize('views', [None, 2])
@pytest.mark.parametrize('name', NETWORKS)
def test_all_views_of_a_video_attend(name, views):
    model = build(name, testing_views=views)
    shape = NETWORKS[name][3]
    clips, crops = 3, 2
    data = batch((clips * crops,), shape=shape)['inputs']
    with torch.no_grad():
        (out,) = model.val_step(
            dict(inputs=[torch.cat(data)], data_samples=[sample(clips)])
        )
        alone = [
            model.val_step(dict(inputs=[clip], data_samples=[sample(1)]))[0]
            for clip in data
        ]
    scores = scores_one_by_one(model, data)
    weights = scores[:, 4].softmax(0)
    expected = (weights @ scores[:, :4]).softmax(0)
    assert_close(out.pred_score, expected, rtol=1e-3, atol=1e-4)
    # Crop by crop in, clip by clip out.
    order = [0, 3, 1, 4, 2, 5]
    assert_close(out.clip_weights, weights[order], rtol=1e-3, atol=1e-4)
    of_clips = torch.cat([one.clip_scores for one in alone])
    assert_close(out.clip_scores, of_clips[order], rtol=1e-3, atol=1e-4)
    assert out.clip_weights.max() > 1 / 6 + 1e-3

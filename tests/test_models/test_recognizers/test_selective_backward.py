"""Gradient through a share of the clips: unbiased, cheap, repeatable."""

import copy
import functools
import itertools

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from test_video_attention import NETWORKS
from test_video_attention import build as build_network
from tiny_recognizers import (
    batch,
    build,
    gradients,
    saved_bytes,
    step_of,
    steps_of_two_ranks,
)
from torch import nn
from torch.testing import assert_close

from vll_mmaction.models.recognizers import recognizer_mixin
from vll_mmaction.models.recognizers.selective_backward import (
    draw_weights,
    weigh_gradient,
)

pytestmark = pytest.mark.usefixtures('one_thread')

MIXIN = recognizer_mixin.__name__

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def run_info():
    """Tells the model what a runner would; at first there is none."""

    def tell(**info):
        hub = MessageHub.get_instance(f'selective_{next(_numbers)}')
        hub.update_info_dict(info)

    tell()
    return tell


def set_options(model, views, share):
    """The same model, trained in another way."""
    train_cfg = dict(max_training_views=views, backward_share=share)
    model.max_training_views, model.backward_share = views, share
    # Clips come as they are.
    model.data_preprocessor = build(
        train_cfg=train_cfg,
        data_preprocessor=dict(
            type='ActionDataPreprocessor',
            mean=[120.0, 110.0, 100.0],
            std=[58.0, 57.0, 56.0],
            format_shape=model.data_preprocessor.format_shape,
        ),
    ).data_preprocessor
    return model


def subsets(counts, share):
    """Weights of the clips for every draw of every video."""
    of_videos = []
    for count in counts:
        kept = max(1, round(share * count))
        of_videos.append(
            [
                [count / kept * (clip in chosen) for clip in range(count)]
                for chosen in itertools.combinations(range(count), kept)
            ]
        )
    for draws in itertools.product(*of_videos):
        yield np.array(sum(draws, []), np.float32)


# --- the gradient --------------------------------------------------------


@pytest.mark.parametrize('views', [None, 2])
@pytest.mark.parametrize('network', ['tiny', *NETWORKS])
def test_the_mean_over_all_subsets_is_the_full_gradient(
    network, views, monkeypatch
):
    counts, share = (3, 1, 2), 0.5
    if network == 'tiny':
        whole, shape = build(head=dict(dropout_ratio=0)).eval(), None
    else:
        whole, shape = build_network(network), NETWORKS[network][3]
    data = batch(counts, **(dict(shape=shape) if shape else {}))
    model = set_options(copy.deepcopy(whole), views, share)
    expected_losses, expected = gradients(whole, data)
    draws = list(subsets(counts, share))
    assert len(draws) == 6
    mean = {name: 0 for name in expected}
    seen = []
    for weights in draws:
        monkeypatch.setattr(f'{MIXIN}.draw_weights', lambda *a, w=weights: w)
        losses, grads = gradients(model, data)
        # Head and loss see all clips each time.
        assert_close(losses, expected_losses)
        for name, grad in grads.items():
            if name.startswith('cls_head'):
                assert_close(grad, expected[name], rtol=1e-3, atol=1e-5)
            mean[name] = mean[name] + grad / len(draws)
        seen.append(grads)
    for name, grad in expected.items():
        scale = grad.abs().max().item()
        assert_close(mean[name], grad, rtol=1e-3, atol=1e-4 * scale)
    backbone = [n for n in expected if n.startswith('backbone')]
    for grads in seen[1:]:
        assert any(not torch.equal(grads[n], seen[0][n]) for n in backbone)


@pytest.mark.parametrize('views', [None, 1, 2, 3, 50])
@pytest.mark.parametrize('two_d', [False, True])
def test_gradient_is_that_of_the_drawn_clips(views, two_d):
    """Against features of the other clips without gradient, by hand."""
    shape = (2, 3, 6, 6) if two_d else (1, 3, 4, 6, 6)
    model = build(
        two_d=two_d,
        head=dict(dropout_ratio=0),
        train_cfg=dict(max_training_views=views, backward_share=0.4),
    ).eval()
    data = batch((5, 1, 3), shape=shape)
    torch.manual_seed(1)
    losses, grads = gradients(model, data)
    torch.manual_seed(1)
    key = torch.randint(2**31, (2,)).tolist()
    weights = draw_weights(np.repeat([0, 1, 2], [5, 1, 3]), 0.4, key)
    assert sorted(weights) == [0, 0, 0, 0, 0, 1, 2.5, 2.5, 3]
    model.zero_grad()
    inputs, _ = model.data_preprocessor.preprocess(data['inputs'], None)
    scores = []
    for clip, weight in zip(inputs, weights):
        clip = clip if two_d else clip[None]
        feature = model.backbone(clip if two_d else clip[0])
        moved = feature * weight
        feature = moved + (feature - moved).detach()
        scores.append(model.cls_head(feature, num_segs=2))
    expected = model.cls_head.loss_by_feat(
        torch.cat(scores), data['data_samples']
    )
    model.parse_losses(expected)[0].backward()
    assert_close(losses, {k: v.detach() for k, v in expected.items()})
    for name, parameter in model.named_parameters():
        assert_close(grads[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_a_share_of_one_is_training_as_usual():
    whole = build().eval()
    model = set_options(copy.deepcopy(whole), None, 1.0)
    for found, wanted in zip(
        gradients(model, batch()), gradients(whole, batch())
    ):
        assert_close(found, wanted, rtol=0, atol=0)


def test_one_forward_pass_a_clip():
    model = build(train_cfg=dict(backward_share=0.5)).train()
    gradients(model, batch((8, 2)))
    assert model.backbone.seen == [5, 5]
    # In chunks only clips with gradient are computed again, the last chunk
    # not even once.
    model = build(
        train_cfg=dict(backward_share=0.5, max_training_views=2)
    ).train()
    gradients(model, batch((8, 2)))
    assert model.backbone.seen == [2, 2, 1, 2, 2, 1, 2, 2]


@pytest.mark.parametrize('views', [None, 2])
def test_autocast(views):
    """Weights that were cast without gradient are not used with it."""
    model = build(
        train_cfg=dict(max_training_views=views, backward_share=0.5)
    ).eval()
    data = batch((6, 3))
    _, exact = gradients(model, data)
    _, grads = gradients(model, data, torch.bfloat16)
    for name, grad in grads.items():
        assert grad.any(), name
        scale = exact[name].abs().max().item()
        assert_close(grad, exact[name], rtol=0.2, atol=0.1 * scale)


def test_weights_are_not_rounded_to_half_precision():
    features = dict(
        a=torch.zeros(6, 4, dtype=torch.bfloat16, requires_grad=True),
        b=[torch.zeros(3, 2, requires_grad=True)],
        frozen=torch.zeros(3, 2),
    )
    moved = dict(
        a=features['a'] + 0, b=[features['b'][0] + 0], frozen=torch.zeros(3)
    )
    weights = torch.tensor([3.0, 0.0, 7 / 3])
    weigh_gradient(moved, weights)
    (3 * moved['a'].sum() + moved['b'][0].sum()).backward()
    of_rows = (3 * weights.repeat_interleave(2)).bfloat16()
    assert torch.equal(features['a'].grad, of_rows[:, None].expand(6, 4))
    assert torch.equal(features['b'][0].grad, weights[:, None].expand(3, 2))


def test_a_frozen_backbone_needs_no_gradient():
    model = build(train_cfg=dict(backward_share=0.5)).train()
    model.backbone.requires_grad_(False)
    data = model.data_preprocessor(batch(), True)
    model.parse_losses(model(**data, mode='loss'))[0].backward()
    assert model.backbone.conv.weight.grad is None
    assert model.cls_head.fc_cls.weight.grad.any()
    with torch.no_grad():
        model(**data, mode='loss')


# --- the draw ------------------------------------------------------------


def test_every_subset_is_as_likely():
    counts = {}
    for iteration in range(3000):
        weights = draw_weights(np.zeros(4, int), 0.5, [7, iteration])
        assert sorted(weights) == [0, 0, 2, 2]
        counts[tuple(weights)] = counts.get(tuple(weights), 0) + 1
    assert len(counts) == 6
    assert max(abs(n - 500) for n in counts.values()) < 100


def test_the_draw_is_of_seed_iteration_and_video():
    """On whatever rank, beside whatever other videos."""
    alone = draw_weights(np.full(9, 6), 0.3, [3, 10])
    beside = draw_weights(np.array([8] * 4 + [6] * 9), 0.3, [3, 10])
    assert np.array_equal(alone, beside[4:])
    assert sorted(alone) == [0] * 6 + [3] * 3
    other = [
        draw_weights(np.full(9, video), 0.3, key)
        for video, key in ((7, [3, 10]), (6, [3, 11]), (6, [4, 10]))
    ]
    assert not any(np.array_equal(alone, draw) for draw in other)


def test_the_runner_tells_seed_and_iteration(run_info, monkeypatch):
    model = build(train_cfg=dict(backward_share=0.5)).train()
    keys = []

    def draw(videos, share, key):
        keys.append((*key, *videos))
        return draw_weights(videos, share, key)

    monkeypatch.setattr(f'{MIXIN}.draw_weights', draw)
    run_info(seed=5, iter=12)
    gradients(model, batch((2, 1)))
    run_info()
    gradients(model, batch((2, 1)))
    gradients(model, batch((2, 1)))
    assert keys[0] == (5, 12, 0, 0, 1)
    assert keys[1] == keys[2] != keys[0]  # of PyTorch's generator


# --- around it -----------------------------------------------------------


@pytest.mark.parametrize('views', [None, 2])
def test_accumulation(views):
    """Two batches in pairs: the sum of their gradients."""
    train_cfg = dict(max_training_views=views, backward_share=0.5)
    model = build(train_cfg=train_cfg, backbone=dict(dropout=0)).eval()
    start = copy.deepcopy(model.state_dict())
    parts = [gradients(model, batch(seed=seed))[1] for seed in (0, 1)]
    model.zero_grad()
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2
    )
    wrapper.initialize_count_status(model, 0, 2)
    for seed in (0, 1):
        torch.manual_seed(1)
        data = model.data_preprocessor(batch(seed=seed), True)
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        wrapper.update_params(loss)
    for name, parameter in model.named_parameters():
        step = 0.05 * (parts[0][name] + parts[1][name])
        assert_close(parameter.data, start[name] - step)


def small(views):
    torch.manual_seed(0)
    train_cfg = dict(max_training_views=views, backward_share=0.5)
    return build(
        train_cfg=train_cfg,
        backbone=dict(dropout=0),
        head=dict(dropout_ratio=0),
    ).train()


@pytest.mark.parametrize('views', [None, 2])
def test_two_processes_take_the_step_of_one(tmp_path, views, run_info):
    """One rank has chunks with and without gradient, one a single clip."""
    make = functools.partial(small, views)
    first, second = steps_of_two_ranks(tmp_path, make, batch((5, 1)), 5)
    run_info(seed=5, iter=12)
    alone = small(views)
    start = copy.deepcopy(alone.state_dict())
    step_of(alone, batch((5, 1)))
    for name, value in alone.state_dict().items():
        assert torch.equal(first[name], second[name])
        assert_close(first[name], value, rtol=1e-4, atol=1e-6)
        assert not torch.equal(value, start[name])


def test_half_the_clips_are_half_the_activations():
    loss = dict(loss_cls=dict(type='CrossEntropyLoss'))
    half, whole = (
        build(train_cfg=dict(backward_share=share), head=loss).train()
        for share in (0.5, 1.0)
    )
    assert 0.4 < saved_bytes(half, (40,)) / saved_bytes(whole, (40,)) < 0.6


# --- what is refused -----------------------------------------------------


@pytest.mark.parametrize('share', [0, -0.5, 1.01, True, '0.5'])
def test_shares_are_checked(share):
    error = ValueError if type(share) in (int, float) else TypeError
    with pytest.raises(error, match=f'backward_share must be.*{share}'):
        build(train_cfg=dict(backward_share=share))


def test_networks_whose_clips_mix_are_refused():
    train_cfg = dict(backward_share=0.5)
    for norm in (nn.BatchNorm3d, nn.SyncBatchNorm):
        model = build(train_cfg=train_cfg, backbone=dict(norm=norm)).train()
        with pytest.raises(ValueError, match='1 BatchNorm layers.*norm_eval'):
            gradients(model, batch())
    frozen = dict(norm=nn.BatchNorm3d, norm_eval=True)
    gradients(build(train_cfg=train_cfg, backbone=frozen).train(), batch())
    with pytest.raises(ValueError, match='does not go with a neck'):
        build(train_cfg=train_cfg, neck=dict(type='TinyNeck'))
    blending = dict(type='MixupBlending', num_classes=4)
    config = dict(type='ActionDataPreprocessor', blending=blending)
    loss = dict(loss_cls=dict(type='CrossEntropyLoss'))
    for options in (train_cfg, dict(max_training_views=2)):
        with pytest.raises(ValueError, match='MixupBlending mixes clips of'):
            build(train_cfg=options, data_preprocessor=config, head=loss)


def test_clips_without_a_video_are_refused():
    model = build(train_cfg=dict(backward_share=0.5)).train()
    data = batch((2,))
    data['data_samples'][1].set_metainfo(dict(video_id='a'))
    with pytest.raises(ValueError, match="'video_id'.*got 'a'.*meta_keys"):
        gradients(model, data)

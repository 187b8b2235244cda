"""Chunks, their gradient and their memory; clips and segments in 2D."""

import copy
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from tiny_recognizers import (
    batch,
    build,
    gradients,
    keep_activations,
    losses_of,
    sample,
    saved_bytes,
)
from torch import nn
from torch.testing import assert_close

from vll_mmaction.models import video_level_loss

pytestmark = pytest.mark.usefixtures('one_thread')


def assert_step_of_the_whole(model, data, **options):
    """Losses and gradients are those of all clips at once."""
    whole = build(None, **options).eval()
    whole.load_state_dict(model.state_dict())
    losses, grads = gradients(model, data)
    expected_losses, expected = gradients(whole, data)
    assert_close(losses, expected_losses)
    assert_close(grads, expected)
    return losses, whole.backbone.seen


# --- gradient ------------------------------------------------------------


@pytest.mark.parametrize('views', [1, 3, 7, 50])
@pytest.mark.parametrize('two_d', [False, True])
def test_chunks_give_the_gradient_of_all_clips(views, two_d):
    shape = (2, 3, 6, 6) if two_d else (1, 3, 4, 6, 6)
    options = dict(two_d=two_d, head=dict(dropout_ratio=0))
    model = build(views, **options).eval()
    losses, seen = assert_step_of_the_whole(
        model, batch(shape=shape), **options
    )
    assert set(losses) >= {'agreement', 'wrong_clips'}
    per_view = 2 if two_d else 1
    assert max(model.backbone.seen) == min(views, 7) * per_view
    assert seen == [7 * per_view]


@pytest.mark.parametrize('norm', [None, nn.BatchNorm3d])
@pytest.mark.parametrize('views', [1, 2, 3])
def test_same_chunks_without_recomputation_are_bit_equal(
    views, norm, monkeypatch
):
    model = build(views, backbone=dict(norm=norm)).train()
    other = copy.deepcopy(model)
    losses, grads = gradients(model, batch())
    keep_activations(monkeypatch)
    expected_losses, expected = gradients(other, batch())
    assert_close(losses, expected_losses, rtol=0, atol=0)
    assert_close(grads, expected, rtol=0, atol=0)
    assert_close(model.state_dict(), other.state_dict(), rtol=0, atol=0)
    assert len(model.backbone.seen) == 2 * len(other.backbone.seen) - 1
    if norm:
        assert model.backbone.norm.num_batches_tracked == len(
            other.backbone.seen
        )


def test_draws_of_numpy_are_repeated(monkeypatch):
    # TRN draws which relations it adds up.
    model = build(
        2,
        two_d=True,
        head=dict(
            type='VideoLevelTRNHead',
            num_segments=5,
            hidden_dim=4,
            relation_type='TRNMultiScale',
        ),
    ).train()
    for parameter in model.cls_head.parameters():
        nn.init.normal_(parameter)
    other = copy.deepcopy(model)
    data = batch(shape=(5, 3, 6, 6))
    _, grads = gradients(model, data)
    after = np.random.rand()
    keep_activations(monkeypatch)
    _, expected = gradients(other, data)
    assert_close(grads, expected, rtol=0, atol=0)
    # What is drawn later does not depend on the chunks either.
    assert after == np.random.rand()


def test_loss_equals_the_oracle_on_the_logits():
    model = build(3).eval()
    data = batch((4, 1, 3))
    losses = losses_of(model, data)
    inputs = model.data_preprocessor(copy.deepcopy(data), False)['inputs']
    assert inputs.dtype == torch.float32
    logits, _ = model.extract_feat(inputs, stage='head')
    labels = torch.tensor([0, 0, 0, 0, 1, 2, 2, 2])
    expected = video_level_loss(logits, labels, labels)
    assert_close(losses['loss_ce'], expected['loss_ce'])
    assert_close(losses['loss_ccl'], expected['loss_ccl'])


@pytest.mark.parametrize('views', [None, 1, 2, 3])
def test_losses_of_the_neck_are_the_mean_over_clips(views):
    neck = dict(type='TinyNeck')
    model = build(views, neck=neck).eval()
    losses, _ = assert_step_of_the_whole(model, batch(), neck=neck)
    assert set(losses) >= {'loss_aux', 'loss_ce', 'loss_ccl'}


def test_several_views_a_sample():
    model = build(2).eval()
    assert_step_of_the_whole(model, batch((1, 1), shape=(3, 3, 4, 6, 6)))
    assert model.backbone.seen == [2, 2, 2, 2, 2]


def test_float_clips_are_taken_as_normalised():
    model = build(2).eval()
    data = model.data_preprocessor(batch(), False)
    losses = model(**data, mode='loss')
    expected = losses_of(model, batch())
    assert_close(losses, expected)
    with torch.no_grad():
        assert_close(losses_of(model, batch()), expected)


# --- what a batch costs --------------------------------------------------


def test_clips_stay_bytes_until_their_chunk(monkeypatch):
    model = build(2).train()
    data = model.data_preprocessor(batch(), True)
    assert {x.dtype for x in data['inputs']} == {torch.uint8}
    sizes = []
    stock = type(model.data_preprocessor).preprocess

    def preprocess(self, inputs, *args, **kwargs):
        sizes.append(len(inputs))
        return stock(self, inputs, *args, **kwargs)

    monkeypatch.setattr(
        type(model.data_preprocessor), 'preprocess', preprocess
    )
    model(**data, mode='loss')
    assert sizes == [2, 2, 2, 1]


def test_activations_do_not_grow_with_the_clips():
    chunked, whole = build(2), build(None)
    clip = 3 * 4 * 6 * 6 * 4
    growth = saved_bytes(chunked, (40,)) - saved_bytes(chunked, (20,))
    # 20 clips more: their logits and pair distances, no more.
    assert growth < 20 * clip
    stock = saved_bytes(whole, (40,)) - saved_bytes(whole, (20,))
    assert stock > 20 * clip


# --- norms ---------------------------------------------------------------


def messages(monkeypatch):
    said = []
    monkeypatch.setattr(
        'vll_mmaction.models.recognizers.recognizer_mixin.print_log',
        lambda message, *args, **kwargs: said.append(message),
    )
    return said


def test_batch_norm_in_training_mode_is_warned_of_once(monkeypatch):
    said = messages(monkeypatch)
    model = build(3, backbone=dict(norm=nn.BatchNorm3d)).train()
    losses_of(model, batch((3,)))
    assert said == []
    for _ in range(2):
        losses_of(model, batch())
    assert len(said) == 1 and 'norm_eval=True' in said[0]


def test_frozen_norms_are_fine(monkeypatch):
    said = messages(monkeypatch)
    for norm in (nn.BatchNorm3d, nn.SyncBatchNorm):
        backbone = dict(norm=norm, norm_eval=True)
        losses_of(build(3, backbone=backbone).train(), batch())
    assert said == []


def test_sync_batch_norm_in_training_mode_is_refused():
    model = build(3, backbone=dict(norm=nn.SyncBatchNorm)).train()
    for counts in ((5, 2), (1,)):
        with pytest.raises(ValueError, match='would wait for each other'):
            losses_of(model, batch(counts))


# --- around it -----------------------------------------------------------


def test_train_step_with_accumulation():
    model = build(2, backbone=dict(dropout=0), head=dict(dropout_ratio=0))
    whole = build(None, backbone=dict(dropout=0), head=dict(dropout_ratio=0))
    whole.load_state_dict(model.state_dict())
    for one in (model, whole):
        one.train()
        optimizer = torch.optim.SGD(one.parameters(), lr=0.1)
        wrapper = OptimWrapper(optimizer, accumulative_counts=2)
        wrapper.initialize_count_status(one, 0, 2)
        for step in range(2):
            one.train_step(batch(seed=step), wrapper)
    assert_close(model.state_dict(), whole.state_dict())


def test_autocast(monkeypatch):
    model = build(2).train()
    other = copy.deepcopy(model)
    _, grads = gradients(model, batch(), torch.bfloat16)
    keep_activations(monkeypatch)
    _, expected = gradients(other, batch(), torch.bfloat16)
    assert_close(grads, expected, rtol=0, atol=0)


def test_recomputation_in_another_thread():
    # As on a GPU, whose backward pass has a thread of its own.
    model = build(2, backbone=dict(norm=nn.BatchNorm3d)).train()
    found = []
    for thread in (True, False):
        one = copy.deepcopy(model)
        torch.manual_seed(1)
        with torch.autocast('cpu', torch.bfloat16):
            loss, _ = one.parse_losses(losses_of(one, batch()))
        if thread:
            backward = threading.Thread(target=loss.backward)
            backward.start()
            backward.join()
        else:
            loss.backward()
        found.append({n: p.grad for n, p in one.named_parameters()})
        found[-1].update(one.named_buffers())
    assert_close(*found, rtol=0, atol=0)


@pytest.fixture
def gloo(tmp_path):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('accumulated', [1, 2])
def test_distributed_data_parallel(gloo, accumulated):
    model = build(2, backbone=dict(norm=nn.BatchNorm3d, norm_eval=True))
    alone = copy.deepcopy(model)
    wrapped = MMDistributedDataParallel(model.train())
    before = copy.deepcopy(model.state_dict())
    for one in (wrapped, alone.train()):
        torch.manual_seed(0)
        wrapper = OptimWrapper(
            torch.optim.SGD(one.parameters(), lr=0.1),
            accumulative_counts=accumulated,
        )
        wrapper.initialize_count_status(one, 0, accumulated)
        for step in range(accumulated):
            one.train_step(batch(seed=step), wrapper)
    assert_close(model.state_dict(), alone.state_dict())
    weight = 'backbone.conv.weight'
    assert not torch.equal(model.state_dict()[weight], before[weight])
    assert len(wrapped.val_step(batch((1,)))) == 1


def test_options_are_checked():
    for value, error in ((0, ValueError), (True, TypeError), (2.0, TypeError)):
        with pytest.raises(error, match='max_training_views'):
            build(2, train_cfg=dict(max_training_views=value))
        with pytest.raises(error, match='max_testing_views'):
            build(
                two_d=True,
                test_cfg=dict(num_segs=2, max_testing_views=value),
            )
    config = dict(type='MultiModalDataPreprocessor', preprocessors={})
    with pytest.raises(TypeError, match='MultiModalDataPreprocessor'):
        build(2, data_preprocessor=config)


@pytest.mark.parametrize('blending', ['MixupBlending', 'CutmixBlending'])
def test_blending_is_refused(blending):
    config = dict(
        type='ActionDataPreprocessor',
        blending=dict(type=blending, num_classes=4),
    )
    for views in (None, 2):
        with pytest.raises(ValueError, match=f'{blending} mixes clips'):
            build(views, data_preprocessor=config)
    loss = dict(loss_cls=dict(type='CrossEntropyLoss'))
    build(data_preprocessor=config, head=loss)
    # Through a stock recognizer the head sees it.
    stock = build(head=loss, data_preprocessor=config)
    head = MODELS.build(
        dict(
            type='VideoLevelI3DHead',
            num_classes=4,
            in_channels=8,
            loss_cls=dict(type='VideoLevelLoss'),
        )
    )
    data = stock.data_preprocessor(batch(), True)
    with pytest.raises(ValueError, match='different soft labels'):
        head.loss_by_feat(torch.randn(7, 4), data['data_samples'])


# --- testing -------------------------------------------------------------


def majority(logits):
    votes = F.one_hot(logits.argmax(1), logits.shape[1]).sum(0)
    return (votes + logits.softmax(1).mean(0)) / (len(logits) + 1)


@pytest.mark.parametrize('crops', [1, 3])
@pytest.mark.parametrize('views', [None, 1, 2, 5, 100])
def test_2d_clips_vote_each(views, crops):
    clips, segments = 5, 2
    test_cfg = dict(num_segs=segments)
    if views:
        test_cfg['max_testing_views'] = views
    model = build(two_d=True, test_cfg=test_cfg).eval()
    nn.init.normal_(model.cls_head.fc_cls.weight)
    colours = torch.randint(256, (crops * clips * segments, 3, 1, 1))
    frames = colours.expand(-1, -1, 6, 6).byte()
    data = dict(inputs=[frames], data_samples=[sample(clips)])
    with torch.no_grad():
        # One clip after the other.
        feats = []
        for part in frames.split(segments):
            inputs = model.data_preprocessor(
                dict(inputs=[part], data_samples=[sample(1)])
            )['inputs']
            feats.append(model.backbone(inputs[0]))
        model.backbone.seen.clear()
        feats = torch.cat(feats)
        # So that the clips don't all vote for the same class.
        mean = model.cls_head(feats, num_segs=segments).mean(0)
        model.cls_head.fc_cls.bias -= mean
        logits = model.cls_head(feats, num_segs=segments)
        (out,) = model.val_step(data)
    assert len(set(logits.argmax(1).tolist())) > 1
    assert_close(out.pred_score, majority(logits))
    # Crop by crop in, clip by clip out.
    grouped = logits.view(crops, clips, 4).transpose(0, 1).reshape(-1, 4)
    assert_close(out.clip_scores, grouped.softmax(1))
    if views:
        assert max(model.backbone.seen) <= views * segments


@pytest.mark.parametrize('views', [None, 4])
def test_3d_views_vote_each(views):
    test_cfg = dict(max_testing_views=views) if views else None
    model = build(test_cfg=test_cfg).eval()
    nn.init.normal_(model.cls_head.fc_cls.weight)
    clips = torch.randint(256, (6, 3, 4, 6, 6), dtype=torch.uint8)
    data = dict(inputs=[clips], data_samples=[sample(2)])
    with torch.no_grad():
        (out,) = model.val_step(copy.deepcopy(data))
        inputs = model.data_preprocessor(data)['inputs'][0]
        logits = model.cls_head(model.backbone(inputs))
    assert_close(out.pred_score, majority(logits))
    grouped = logits.view(3, 2, 4).transpose(0, 1).reshape(-1, 4)
    assert_close(out.clip_scores, grouped.softmax(1))


def test_2d_segments_a_clip():
    with pytest.raises(ValueError, match='num_segs=...'):
        build(two_d=True, test_cfg={})
    # The backbone knows, then the head.
    model = build(
        two_d=True, test_cfg={}, backbone=dict(num_segments=3)
    ).eval()
    for mode in (True, False):
        feat, kwargs = model.extract_feat(
            torch.randn(1, 12, 3, 6, 6), 'head', test_mode=mode
        )
        assert feat.shape == (4, 4) and kwargs['num_segs'] == 3
    with pytest.raises(ValueError, match='sample of 8 frames.*3 segments'):
        model.extract_feat(torch.randn(1, 8, 3, 6, 6))
    head = dict(type='VideoLevelTSMHead', num_segments=4)
    model = build(two_d=True, test_cfg={}, head=head).eval()
    feat, _ = model.extract_feat(torch.randn(2, 8, 3, 6, 6), 'head')
    assert feat.shape == (4, 4)
    # In training a sample of TSN is one clip, of any number of segments.
    model = build(two_d=True)
    feat, _ = model.extract_feat(torch.randn(3, 7, 3, 6, 6), 'head')
    assert feat.shape == (3, 4)


def test_state_of_the_stock_recognizer_loads():
    model = build(2, two_d=True)
    stock = MODELS.build(
        dict(
            type='Recognizer2D',
            backbone=dict(type='TinyNet2D'),
            cls_head=dict(type='TSNHead', num_classes=4, in_channels=8),
        )
    )
    model.load_state_dict(stock.state_dict())

"""Losses of the video's own prediction, against plain loops."""

import math

import numpy as np
import pytest
import torch
from loss_batches import ragged_batch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from vll_mmaction.models import (
    VideoAttentionLoss,
    clip_groups,
    video_attention_loss,
    video_prediction_loss,
)

pytestmark = pytest.mark.usefixtures('one_thread')

RULES = 'prob', 'score', 'attention'


def loss_of(rule, logits, label, ids, gate=None):
    if rule != 'attention':
        return video_prediction_loss(logits, label, ids, average_clips=rule)
    terms = video_attention_loss(logits, label, ids, gate=gate, beta=0)
    return terms['loss_video'] + terms['loss_ce']


def slow_loss_of(rule, logits, label, ids, gate):
    losses = []
    for video in sorted(set(ids)):
        own = [i for i, other in enumerate(ids) if other == video]
        if rule == 'prob':
            probs = sum(logits[i].softmax(0) for i in own) / len(own)
        else:
            weights = [1 / len(own) for _ in own]
            if rule == 'attention':
                weights = [gate[i].exp() for i in own]
                weights = [weight / sum(weights) for weight in weights]
            score = sum(w * logits[i] for w, i in zip(weights, own))
            probs = score.softmax(0)
        if label.dim() == 1:
            losses.append(-probs[label[own[0]]].log())
        else:
            losses.append(-(label[own[0]] * probs.log()).sum())
    return sum(losses) / len(losses)


def batch(seed, soft):
    logits, label, ids = ragged_batch(seed, num_classes=5)
    if soft:
        of_video = torch.rand(len(set(ids)), 5, dtype=torch.float64)
        label = of_video.softmax(1)[np.unique(ids, return_inverse=True)[1]]
    gate = torch.randn(len(ids), dtype=torch.float64, requires_grad=True)
    return (logits / 4).requires_grad_(), label, ids, gate


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('rule', RULES)
def test_equals_plain_loops(rule, seed, soft):
    logits, label, ids, gate = batch(seed, soft)
    slow = slow_loss_of(rule, logits, label, ids, gate)
    loss = loss_of(rule, logits, label, ids, gate)
    torch.testing.assert_close(loss, slow)
    wanted = [logits, gate] if rule == 'attention' else [logits]
    for ours, theirs in zip(
        torch.autograd.grad(loss, wanted), torch.autograd.grad(slow, wanted)
    ):
        torch.testing.assert_close(ours, theirs)
    single = loss_of(rule, logits.float(), label, ids, gate)
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(slow.item(), rel=1e-5)


@pytest.mark.parametrize('rule', ['prob', 'score'])
@pytest.mark.parametrize('soft', [False, True])
def test_is_the_cross_entropy_of_the_heads_prediction(rule, soft):
    logits, label, ids, _ = batch(0, soft)
    head = MODELS.build(
        dict(
            type='VideoLevelI3DHead',
            num_classes=5,
            in_channels=8,
            average_clips=rule,
            loss_cls=dict(type='VideoPredictionLoss', average_clips=rule),
        )
    )
    losses = []
    for video in set(ids):
        own = [i for i, other in enumerate(ids) if other == video]
        (out,) = head.predict_by_feat(logits[own], [ActionDataSample()])
        log_q = out.pred_score.double()
        log_q = log_q.log() if rule == 'prob' else log_q.log_softmax(0)
        target = label[own[0]] if soft else torch.eye(5)[label[own[0]]]
        losses.append(-(target * log_q).sum())
    # Alone as loss_cls, by the samples' video ids.
    samples = []
    for target, video in zip(label, ids):
        sample = ActionDataSample().set_gt_label(
            target.detach() if soft else int(target)
        )
        samples.append(sample.set_metainfo(dict(video_id=video)) or sample)
    out = head.loss_by_feat(logits, samples)
    expected = sum(losses) / len(losses)
    assert out['loss_cls'].item() == pytest.approx(expected.item(), rel=1e-5)


def test_as_the_consistent_term():
    loss = MODELS.build(
        dict(
            type='VideoLevelLoss',
            alpha=0.25,
            ccl=dict(type='VideoPredictionLoss', average_clips='score'),
        )
    )
    logits, label, ids, _ = batch(1, False)
    terms = loss(logits, label, ids)
    slow = slow_loss_of('score', logits, label, ids, None)
    torch.testing.assert_close(terms['loss_ccl'], 0.25 * slow)
    assert "average_clips='score'" in repr(loss)


def test_attention_and_clips_are_weighed_by_beta():
    logits, label, ids, gate = batch(2, False)
    out = VideoAttentionLoss(beta=0.25)(logits, label, ids, gate)
    video = slow_loss_of('attention', logits, label, ids, gate)
    torch.testing.assert_close(out['loss_video'], 0.75 * video)
    plain = MODELS.build(dict(type='VideoLevelLoss', alpha=0.75))
    expected = plain(logits, label, ids)['loss_ce']
    torch.testing.assert_close(out['loss_ce'], expected)
    assert VideoAttentionLoss().beta == 0.5
    assert repr(VideoAttentionLoss(1)) == 'VideoAttentionLoss(beta=1)'


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, None])
@pytest.mark.parametrize('rule', RULES)
def test_gradients_are_finite(rule, dtype):
    dtype = dtype or torch.float32
    largest = torch.finfo(dtype).max / 2
    for rows in (
        [[0.0, 1, 0]],  # one clip
        [[1.0, 2, 3]] * 4,  # identical
        [[200.0, -200, 0], [-200, 200, 0]] * 2,  # saturated
        [[largest, 0, -largest]] * 5,
    ):
        for label in range(3):
            logits = torch.tensor(rows, dtype=dtype, requires_grad=True)
            gate = torch.linspace(-largest, largest, len(rows), dtype=dtype)
            gate.requires_grad_()
            labels = torch.full((len(rows),), label)
            loss = loss_of(rule, logits, labels, None, gate)
            loss.backward()
            assert loss.dtype == torch.float32 and loss.isfinite()
            assert logits.grad.isfinite().all()
            if rule == 'attention':
                # Also of one clip, whose weight is always 1.
                assert gate.grad.isfinite().all()
                assert len(rows) > 1 or not gate.grad.any()


def test_mean_probability_of_saturated_scores():
    logits = torch.tensor([[200.0, -200], [300, -300]], requires_grad=True)
    loss = loss_of('prob', logits, torch.tensor([1, 1]), [0, 0])
    loss.backward()
    assert loss.item() == pytest.approx(400 + math.log(2))
    # The clip that is nearer to the class is pulled.
    torch.testing.assert_close(logits.grad, torch.tensor([[1.0, -1], [0, 0]]))


@pytest.mark.parametrize('rule', RULES)
def test_autocast_does_not_lower_precision(rule):
    logits, label, ids, gate = batch(2, False)
    logits, gate = logits.float(), gate.float()
    expected = loss_of(rule, logits, label, ids, gate)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(loss_of(rule, logits, label, ids, gate), expected)


@pytest.mark.parametrize('rule', RULES)
def test_nan_is_not_hidden(rule):
    logits = torch.zeros(3, 2)
    label = torch.zeros(3, dtype=torch.int64)
    gate = torch.zeros(3)
    (logits if rule != 'attention' else gate)[-1] = float('nan')
    assert loss_of(rule, logits, label, None, gate).isnan()


@pytest.mark.parametrize('rule', RULES)
def test_compiles_to_one_graph(rule):
    compiled = torch.compile(loss_of, fullgraph=True, backend='aot_eager')
    for seed, soft in ((0, False), (1, False), (2, True)):
        logits, label, ids, gate = batch(seed, soft)
        grads = []
        for run in (compiled, loss_of):
            x = logits.detach().float().requires_grad_()
            out = run(rule, x, label, clip_groups(ids), gate)
            out.backward()
            grads.append((out, x.grad))
        for one, other in zip(*grads):
            torch.testing.assert_close(one, other)


def test_errors():
    logits, label = torch.zeros(2, 3), torch.tensor([0, 0])
    with pytest.raises(ValueError, match="'prob', 'score'.* got 'vote'"):
        MODELS.build(dict(type='VideoPredictionLoss', average_clips='vote'))
    for rule in RULES:
        with pytest.raises(ValueError, match='several labels'):
            loss_of(rule, logits, torch.tensor([0, 1]), None, torch.ones(2))
    with pytest.raises(ValueError, match=r'gate must have shape \(2,\)'):
        loss_of('attention', logits, label, None, torch.zeros(2, 1))
    with pytest.raises(ValueError, match="type='VideoAttentionI3DHead'"):
        VideoAttentionLoss()(logits, label)
    with pytest.raises(ValueError, match='beta must be in'):
        VideoAttentionLoss(1.5)
    with pytest.raises(TypeError, match='beta must be a number'):
        VideoAttentionLoss('0.5')

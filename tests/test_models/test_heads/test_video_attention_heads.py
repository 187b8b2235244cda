"""Heads that attend to the clips of a video, against plain loops."""

import copy
import pickle

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from small_heads import HEADS, build, samples
from torch import nn

import vll_mmaction.models.heads.video_attention_heads as heads
from vll_mmaction.models import VideoAttentionHeadMixin, class_layer
from vll_mmaction.models.heads.class_layer import NO_CLASS_LAYER
from vll_mmaction.models.heads.video_level_heads import NOT_SERVED

SERVED = [name for name in HEADS if name not in NO_CLASS_LAYER]
LABELS, IDS = [1, 2, 1, 2, 2, 0], [30, 4, 30, 4, 4, 9]

pytestmark = pytest.mark.usefixtures('one_thread')


def build_head(name, opened=True, **kwargs):
    head = build(f'VideoAttention{name}', attention_channels=3, **kwargs)
    if opened:
        nn.init.normal_(head.gate.w.weight)
        nn.init.normal_(class_layer(head).weight)
    return head.eval()


def feature_rows(head, features, **kwargs):
    """Input of the class layer, one row a clip, by a hook of the test's."""
    seen = []
    layer = class_layer(head)
    handle = layer.register_forward_hook(lambda _, x, y: seen.append(x[0]))
    out = head(features, **kwargs)
    handle.remove()
    rows = seen[0].reshape(len(out), -1, seen[0].shape[1])
    return out, torch.stack([row.mean(0) for row in rows])


def plain_gate(gate, row):
    """w . (tanh(V h) * sigmoid(U h)) of one clip."""
    v, u, w = gate.v.weight, gate.u.weight, gate.w.weight
    score = 0
    for j in range(len(v)):
        one, other = (v[j] * row).sum(), (u[j] * row).sum()
        score = score + w[0, j] * one.tanh() * other.sigmoid()
    return score


def plain_weights(scores):
    total = sum(score.exp() for score in scores)
    return [score.exp() / total for score in scores]


def plain_loss(logits, scores, labels, ids, beta):
    clips, videos = [], []
    for video in sorted(set(ids)):
        own = [i for i, other in enumerate(ids) if other == video]
        weights = plain_weights([scores[i] for i in own])
        of_video = sum(w * logits[i] for w, i in zip(weights, own))
        videos.append(-of_video.log_softmax(0)[labels[own[0]]])
        ce = [-logits[i].log_softmax(0)[labels[i]] for i in own]
        clips.append(sum(ce) / len(ce))
    mean = len(videos)
    return beta * sum(clips) / mean, (1 - beta) * sum(videos) / mean


def test_every_stock_head_has_a_twin_or_a_reason():
    refused = {**NOT_SERVED, **NO_CLASS_LAYER}
    for name in SERVED:
        twin = getattr(heads, f'VideoAttention{name}')
        assert MODELS.get(f'VideoAttention{name}') is twin
        assert pickle.loads(pickle.dumps(twin)) is twin
    assert set(SERVED) | set(refused) == set(HEADS) | set(NOT_SERVED)
    for name, reason in refused.items():
        with pytest.raises(ValueError, match=f'no VideoAttention{name}: '):
            MODELS.build(dict(type=f'VideoAttention{name}', num_classes=4))
        assert reason


@pytest.mark.parametrize('name', SERVED)
def test_forward_adds_the_score_of_the_gate(name):
    stock, head = build(name).eval(), build_head(name)
    own = [k for k in head.state_dict() if not k.startswith('gate.')]
    assert own == list(stock.state_dict())
    stock.load_state_dict({k: head.state_dict()[k] for k in own})
    _, features, kwargs = HEADS[name]
    feats = features(5)
    out, rows = feature_rows(head, feats, **kwargs)
    assert out.shape == (5, 5)
    assert torch.equal(out[:, :4], stock(feats, **kwargs))
    expected = torch.stack([plain_gate(head.gate, row) for row in rows])
    torch.testing.assert_close(out[:, 4], expected)
    assert expected.std() > 0


@pytest.mark.parametrize('beta', [0, 0.3, 1])
@pytest.mark.parametrize('name', SERVED)
def test_loss_equals_plain_loops(name, beta):
    head = build_head(
        name, loss_cls=dict(type='VideoAttentionLoss', beta=beta)
    )
    _, features, kwargs = HEADS[name]
    feats = features(6)
    out = head.loss(feats, samples(LABELS, IDS), **kwargs)
    assert {'loss_ce', 'loss_video', 'agreement', 'top1_acc'} <= set(out)
    ours = torch.autograd.grad(
        out['loss_ce'] + out['loss_video'], list(head.parameters())
    )
    scores, rows = feature_rows(head, feats, **kwargs)
    gate = [plain_gate(head.gate, row) for row in rows]
    clips, videos = plain_loss(scores[:, :4], gate, LABELS, IDS, beta)
    torch.testing.assert_close(out['loss_ce'], clips)
    torch.testing.assert_close(out['loss_video'], videos)
    theirs = torch.autograd.grad(clips + videos, list(head.parameters()))
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert torch.equal(head.training_scores, scores[:, :4].detach())


def test_the_loss_takes_smoothed_labels():
    head = build_head('I3DHead', label_smooth_eps=0.1)
    feats = HEADS['I3DHead'][1](6)
    out = head.loss(feats, samples(LABELS, IDS))
    plain = build_head('I3DHead')
    plain.load_state_dict(head.state_dict())
    hard = plain.loss(feats, samples(LABELS, IDS))
    assert out['top1_acc'] == hard['top1_acc']
    assert out['loss_video'] != hard['loss_video']


@pytest.mark.parametrize('name', SERVED)
def test_it_begins_as_the_mean(name):
    head = build_head(name, opened=False, average_clips='attention')
    if name != 'UniFormerHead':  # whose init_weights wants a checkpoint
        nn.init.normal_(head.gate.w.weight)
        head.init_weights()
    _, features, kwargs = HEADS[name]
    feats = features(5)
    with torch.no_grad():
        (out,) = head.predict(feats, samples([0]), **kwargs)
        logits = head(feats, **kwargs)[:, :4]
    torch.testing.assert_close(out.clip_weights, torch.full((5,), 0.2))
    torch.testing.assert_close(out.pred_score, logits.mean(0).softmax(0))
    # And it can leave it: w has a gradient.
    loss = head.loss(feats, samples([1] * 5, [7] * 5), **kwargs)
    loss['loss_video'].backward()
    assert head.gate.w.weight.grad.any()


def test_one_clip_gives_every_parameter_a_gradient():
    head = build_head('I3DHead')
    out = head.loss(HEADS['I3DHead'][1](1), samples([2], [7]))
    (out['loss_ce'] + out['loss_video']).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.any() != name.startswith('gate.'), name


def test_prediction():
    head = build_head('I3DHead', average_clips='attention')
    feats = HEADS['I3DHead'][1](6)
    with torch.no_grad():
        out, rows = feature_rows(head, feats)
        predicted = head.predict(feats, samples([0, 1]))
        gate = [plain_gate(head.gate, row) for row in rows]
    for video, sample in enumerate(predicted):
        own = range(3 * video, 3 * video + 3)
        weights = plain_weights([gate[i] for i in own])
        logits = sum(w * out[i, :4] for w, i in zip(weights, own))
        torch.testing.assert_close(sample.pred_score, logits.softmax(0))
        assert sample.pred_label.tolist() == [logits.argmax()]
        torch.testing.assert_close(sample.clip_weights, torch.stack(weights))
        torch.testing.assert_close(
            sample.clip_scores, out[list(own), :4].softmax(1)
        )


def test_all_views_attend_and_are_grouped_by_clip():
    # Two crops of three clips, as FormatShape orders them.
    head = build_head('I3DHead', average_clips='attention')
    scores = torch.randn(6, 5)
    (out,) = head.predict_by_feat(scores, samples([0], num_clips=3))
    weights = scores[:, 4].softmax(0)
    torch.testing.assert_close(
        out.pred_score, (weights @ scores[:, :4]).softmax(0)
    )
    order = [0, 3, 1, 4, 2, 5]
    torch.testing.assert_close(out.clip_weights, weights[order])
    torch.testing.assert_close(out.clip_scores, scores[order, :4].softmax(1))


@pytest.mark.parametrize('average_clips', ['vote', 'prob', 'score', None])
def test_other_averages_are_those_of_the_twin(average_clips):
    head = build_head('I3DHead', average_clips=average_clips)
    twin = build('VideoLevelI3DHead', average_clips=average_clips)
    scores = torch.randn(6, 5)
    for a, b in zip(
        head.predict_by_feat(scores, samples([0, 1])),
        twin.predict_by_feat(scores[:, :4], samples([0, 1])),
    ):
        assert torch.equal(a.pred_score, b.pred_score)
        assert torch.equal(a.pred_label, b.pred_label)
        assert torch.equal(a.clip_scores, b.clip_scores)
        assert a.clip_weights.sum().item() == pytest.approx(1)


def test_predictions_of_half_precision():
    head = build_head('I3DHead', average_clips='attention')
    feats = HEADS['I3DHead'][1](6)
    for dtype in (torch.float16, torch.bfloat16):
        with torch.no_grad(), torch.autocast('cpu', dtype):
            (out,) = head.predict(feats, samples([0]))
        for name in ('clip_scores', 'clip_weights', 'pred_score'):
            value = out.get(name)
            assert value.dtype == torch.float32
            if name != 'clip_scores':
                assert value.sum().item() == pytest.approx(1, abs=1e-6)


def test_copies_and_pickles():
    head = build_head('TSMHead')
    _, features, kwargs = HEADS['TSMHead']
    feats = features(5)
    expected = head(feats, **kwargs)
    for twin in (copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert torch.equal(twin(feats, **kwargs), expected)


def test_a_head_of_a_users_own():
    class MyHead(VideoAttentionHeadMixin, type(build('I3DHead'))):
        pass

    head = MyHead(num_classes=4, in_channels=8, average_clips='attention')
    out = head.loss(HEADS['I3DHead'][1](6), samples(LABELS, IDS))
    assert np.isfinite(out['loss_video'].item())


def test_it_learns_which_clip_counts():
    """One clip of five shows the class, the others something of another's."""
    shown = torch.randn(4, 8)
    mark = torch.randn(8)

    def videos(count):
        labels = torch.arange(count) % 4
        others = torch.randint(4, (count, 5))
        rows = shown[others] + 0.1 * torch.randn(count, 5, 8)
        place = torch.randint(5, (count,))
        one = torch.arange(count)
        rows[one, place] = shown[labels] + mark
        feats = rows.view(-1, 8, 1, 1, 1)
        return feats, labels.tolist(), place

    head = build('VideoAttentionI3DHead', average_clips='attention').eval()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    # Five views a sample.
    data_samples = samples([video % 4 for video in range(16)], range(16))
    for _ in range(200):
        out = head.loss(videos(16)[0], data_samples)
        optimizer.zero_grad()
        (out['loss_ce'] + out['loss_video']).backward()
        optimizer.step()
    feats, labels, place = videos(100)
    right = {}
    for rule in ('prob', 'attention'):
        head.average_clips = rule
        with torch.no_grad():
            found = head.predict(feats, samples(labels))
        answers = [int(x.pred_score.argmax()) for x in found]
        right[rule] = np.mean(np.equal(answers, labels))
    chosen = torch.stack([x.clip_weights.argmax() for x in found])
    assert (chosen == place).float().mean() > 0.95
    assert right['attention'] > 0.95 > right['prob']


# --- mistakes ----------------------------------------------------------------


def test_unknown_averages_are_refused():
    with pytest.raises(ValueError, match="'attention', 'vote', 'prob'"):
        build_head('I3DHead', average_clips='attend')


def test_a_loss_that_knows_no_attention():
    with pytest.raises(ValueError, match='CrossEntropyLoss does not'):
        build_head('I3DHead', loss_cls=dict(type='CrossEntropyLoss'))


def test_full_convolution_is_refused():
    head = build_head('TPNHead', average_clips='attention')
    feats = HEADS['TPNHead'][1](3)
    with torch.no_grad():
        with pytest.raises(ValueError, match='leave fcn_test out'):
            head.predict(feats, samples([0]), fcn_test=True)
        head.predict(feats, samples([0]))

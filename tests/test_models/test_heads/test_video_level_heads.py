"""The video-level twins of the stock heads."""

import pickle

import pytest
import torch
import torch.nn.functional as F
from mmaction.models.heads import BaseHead
from mmaction.registry import MODELS
from small_heads import FEATURE, HEADS, build, samples

import vll_mmaction.models.heads.video_level_heads as heads
from vll_mmaction.evaluation import vote_scores
from vll_mmaction.models import VideoLevelHeadMixin, video_level_loss


def test_every_stock_head_has_a_twin_or_a_reason():
    stock = {
        name
        for name, cls in MODELS.module_dict.items()
        if isinstance(cls, type)
        and issubclass(cls, BaseHead)
        and not issubclass(cls, VideoLevelHeadMixin)
    }
    assert stock == set(HEADS) | set(heads.NOT_SERVED)
    for name in HEADS:
        twin = getattr(heads, f'VideoLevel{name}')
        assert MODELS.get(f'VideoLevel{name}') is twin
        assert pickle.loads(pickle.dumps(twin)) is twin
    for name, reason in heads.NOT_SERVED.items():
        with pytest.raises(ValueError, match=f'no VideoLevel{name}.*{reason}'):
            MODELS.build(dict(type=f'VideoLevel{name}', num_classes=4))


@pytest.mark.parametrize('name', HEADS)
def test_checkpoints_and_scores_equal_stock(name):
    stock = build(name).eval()
    twin = build(f'VideoLevel{name}').eval()
    assert list(stock.state_dict()) == list(twin.state_dict())
    twin.load_state_dict(stock.state_dict())
    _, features, kwargs = HEADS[name]
    feats = features(5)
    assert torch.equal(stock(feats, **kwargs), twin(feats, **kwargs))


@pytest.mark.parametrize('smooth', [0, 0.1])
@pytest.mark.parametrize('name', HEADS)
def test_cross_entropy_equals_stock(name, smooth):
    _, features, kwargs = HEADS[name]
    stock = build(name, label_smooth_eps=smooth, topk=(1, 3)).eval()
    twin = build(f'VideoLevel{name}', label_smooth_eps=smooth, topk=(1, 3))
    twin.eval().load_state_dict(stock.state_dict())
    feats = features(5)
    expected = stock.loss(feats, samples([0, 1, 2, 3, 3]), **kwargs)
    out = twin.loss(feats, samples([0, 1, 2, 3, 3]), **kwargs)
    assert set(out) == set(expected) == {'loss_cls', 'top1_acc', 'top3_acc'}
    for key, value in expected.items():
        assert torch.allclose(out[key].double(), value.double())


@pytest.mark.parametrize('smooth', [0, 0.1])
@pytest.mark.parametrize('name', HEADS)
def test_video_level_loss_sees_the_videos(name, smooth):
    _, features, kwargs = HEADS[name]
    head = build(
        f'VideoLevel{name}',
        loss_cls=dict(type='VideoLevelLoss'),
        label_smooth_eps=smooth,
    ).eval()
    feats, labels, ids = features(5), [1, 2, 1, 2, 2], [30, 4, 30, 4, 4]
    out = head.loss(feats, samples(labels, ids), **kwargs)
    targets = torch.tensor(labels)
    if smooth:
        targets = F.one_hot(targets, 4) * 0.9 + 0.1 / 4
    expected = video_level_loss(head(feats, **kwargs), targets, ids)
    assert torch.allclose(out['loss_ce'], expected['loss_ce'])
    assert torch.allclose(out['loss_ccl'], expected['loss_ccl'])
    sum(v for k, v in out.items() if 'loss' in k).backward()
    assert all(
        p.grad.isfinite().all()
        for p in head.parameters()
        if p.grad is not None
    )


def test_stock_head_takes_a_batch_as_one_video():
    head = build('I3DHead', loss_cls=dict(type='VideoLevelLoss')).eval()
    feats = torch.randn(3, *FEATURE)
    out = head.loss(feats, samples([2, 2, 2]))
    expected = video_level_loss(head(feats), torch.tensor([2, 2, 2]))
    assert torch.equal(out['loss_ccl'], expected['loss_ccl'])
    with pytest.raises(ValueError, match="type='VideoLevelI3DHead' instead"):
        head.loss(feats, samples([2, 2, 1]))


def test_accuracy():
    head = build('VideoLevelI3DHead', topk=(1, 2, 9))
    scores = torch.tensor(
        [[4.0, 3, 2, 1], [4, 3, 2, 1], [4, 3, 2, 1], [1, 2, 3, 4]]
    )
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        out = head.loss_by_feat(scores.to(dtype), samples([0, 1, 3, 3]))
        assert out['top1_acc'] == 0.5
        assert out['top2_acc'] == 0.75
        # There are only four classes.
        assert out['top9_acc'] == 1


def test_soft_labels_have_no_accuracy():
    head = build('VideoLevelI3DHead', loss_cls=dict(type='VideoLevelLoss'))
    labels = torch.randn(2, 4).softmax(1)
    out = head.loss_by_feat(torch.randn(2, 4), samples(labels, [1, 2]))
    assert set(out) == {'loss_ce', 'loss_ccl', 'wrong_clips', 'agreement'}
    # One clip, as many classes as stock's label fix-up stumbles over.
    head.loss_by_feat(torch.randn(1, 4), samples(labels[:1], [1]))
    assert 'top1_acc' in head.loss_by_feat(
        torch.randn(1, 4), samples([3], [1])
    )


@pytest.mark.parametrize('kind', ['hard', 'smooth', 'soft'])
def test_wrong_clips_and_agreement(kind):
    smooth = 0.1 if kind == 'smooth' else 0
    head = build(
        'VideoLevelI3DHead',
        loss_cls=dict(type='VideoLevelLoss'),
        label_smooth_eps=smooth,
    )
    counts, classes = [1, 2, 7, 30], [2, 3, 0, 1]
    video = [v for v, count in enumerate(counts) for _ in range(count)]
    order = torch.randperm(len(video)).tolist()
    scores = torch.randn(len(video), 4, requires_grad=True)
    labels = [classes[video[i]] for i in order]
    if kind == 'soft':
        labels = F.one_hot(torch.tensor(labels), 4) * 0.6 + 0.1
    ids = [100 - video[i] for i in order]
    out = head.loss_by_feat(scores, samples(labels, ids))

    wrong, agreement = [], 0
    for v, label in enumerate(classes):
        clips = scores.detach()[[video[i] == v for i in order]]
        wrong.append((clips.argmax(dim=1) != label).float().mean().item())
        votes = clips.argmax(dim=1)
        winner = vote_scores(clips.softmax(dim=1).numpy()).argmax()
        agreement += (votes == winner).float().mean().item() / 4
    assert out['wrong_clips'].item() == pytest.approx(sum(wrong) / 4)
    assert out['agreement'].item() == pytest.approx(agreement)
    assert 0 < agreement < 1 and 0 < sum(wrong) < 4
    for name in ('wrong_clips', 'agreement'):
        # MMEngine adds to the loss what is so called.
        assert 'loss' not in name and not out[name].requires_grad
    assert torch.equal(head.training_scores, scores.detach())
    assert not head.training_scores.requires_grad


def test_views_of_a_sample_share_label_and_video():
    head = build('VideoLevelI3DHead', loss_cls=dict(type='VideoLevelLoss'))
    scores = torch.randn(6, 4)
    out = head.loss_by_feat(scores, samples([1, 3], [8, 5]))
    expected = video_level_loss(
        scores, torch.tensor([1, 1, 1, 3, 3, 3]), [0, 0, 0, 1, 1, 1]
    )
    assert torch.equal(out['loss_ce'], expected['loss_ce'])
    assert torch.equal(out['loss_ccl'], expected['loss_ccl'])
    with pytest.raises(ValueError, match='batch_size=1'):
        head.loss_by_feat(torch.randn(7, 4), samples([1, 3], [8, 5]))


# Without a GPU: test_cuda_path.py.
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_cuda_does_not_synchronise():
    head = build('VideoLevelI3DHead', loss_cls=dict(type='VideoLevelLoss'))
    head = head.cuda()
    feats = torch.randn(3, *FEATURE).cuda()
    batch = [x.cuda() for x in samples([1, 1, 2], [6, 6, 7])]
    torch.cuda.set_sync_debug_mode('error')
    try:
        out = head.loss(feats, batch)
        (out['loss_ce'] + out['loss_ccl']).backward()
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('ids', [None, ['a.avi', 'a.avi'], [None, 1]])
def test_missing_video_ids(ids):
    head = build('VideoLevelI3DHead', loss_cls=dict(type='VideoLevelLoss'))
    with pytest.raises(ValueError, match='VideoClipDataset'):
        head.loss_by_feat(torch.randn(2, 4), samples([1, 1], ids))
    build('VideoLevelI3DHead').loss_by_feat(
        torch.randn(2, 4), samples([1, 1], ids)
    )


def test_several_labels_are_refused():
    with pytest.raises(ValueError, match='multi_class'):
        build('VideoLevelI3DHead', multi_class=True)
    head = build('VideoLevelI3DHead')
    with pytest.raises(ValueError, match='one label a clip'):
        head.loss_by_feat(torch.randn(1, 4), samples([[0, 1, 1, 0]]))


# --- prediction --------------------------------------------------------------


def logits_of(probs):
    return torch.tensor(probs).log()


def test_vote():
    probs = [
        [0.5, 0.2, 0.2, 0.1],
        [0.4, 0.3, 0.2, 0.1],
        [0.0, 0.1, 0.1, 0.8],
    ]
    head = build('VideoLevelI3DHead', average_clips='vote')
    (out,) = head.predict_by_feat(logits_of(probs), samples([0]))
    expected = torch.tensor(
        [(2 + 0.3) / 4, 0.2 / 4, (0.5 / 3) / 4, (1 + 1 / 3) / 4]
    )
    assert torch.allclose(out.pred_score, expected)
    assert out.pred_score.sum() == pytest.approx(1)
    assert out.pred_label.tolist() == [0]
    # Mean probability would have chosen otherwise.
    head.average_clips = 'prob'
    (out,) = head.predict_by_feat(logits_of(probs), samples([0]))
    assert out.pred_label.tolist() == [3]


def test_vote_ties_go_to_the_higher_mean():
    probs = [[0.6, 0.4, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0]]
    head = build('VideoLevelI3DHead', average_clips='vote')
    (out,) = head.predict_by_feat(logits_of(probs), samples([0]))
    assert out.pred_label.tolist() == [1]
    assert out.pred_score.tolist() == pytest.approx([1.35 / 3, 1.65 / 3, 0, 0])


@pytest.mark.parametrize('average_clips', ['prob', 'score', None])
def test_other_averages_equal_stock(average_clips):
    scores = torch.randn(6, 4)
    stock = build('I3DHead', average_clips=average_clips)
    twin = build('VideoLevelI3DHead', average_clips=average_clips)
    for a, b in zip(
        stock.predict_by_feat(scores, samples([0, 1])),
        twin.predict_by_feat(scores, samples([0, 1])),
    ):
        assert torch.equal(a.pred_score, b.pred_score)
        assert torch.equal(a.pred_label, b.pred_label)


@pytest.mark.parametrize('name', HEADS)
@pytest.mark.parametrize('average_clips', ['vote', 'prob', 'score', None])
def test_clip_scores_are_set(name, average_clips):
    _, features, kwargs = HEADS[name]
    head = build(f'VideoLevel{name}', average_clips=average_clips).eval()
    feats = features(5)
    with torch.no_grad():
        (out,) = head.predict(feats, samples([0]), **kwargs)
        expected = head(feats, **kwargs).softmax(1)
    assert torch.equal(out.clip_scores, expected)
    if average_clips is not None:
        assert out.pred_score.shape == (4,)


def test_tpn_full_convolution_test():
    head = build('VideoLevelTPNHead', average_clips='vote').eval()
    with torch.no_grad():
        (out,) = head.predict(
            torch.randn(5, *FEATURE), samples([0]), fcn_test=True
        )
    assert out.clip_scores.shape == (5, 4)


def test_half_precision_predictions_are_float32():
    head = build('VideoLevelI3DHead', average_clips='vote')
    for dtype in (torch.float16, torch.bfloat16):
        (out,) = head.predict_by_feat(
            torch.randn(3, 4).to(dtype), samples([0])
        )
        assert out.clip_scores.dtype == out.pred_score.dtype == torch.float32


def test_views_are_grouped_by_clip():
    # Two crops of three clips, as FormatShape orders them.
    scores = torch.tensor([[c, k, 0.0, 0.0] for c in (0, 1) for k in range(3)])
    head = build('VideoLevelI3DHead', average_clips='vote')
    (out,) = head.predict_by_feat(scores, samples([0], num_clips=3))
    expected = torch.tensor(
        [[c, k, 0.0, 0.0] for k in range(3) for c in (0, 1)]
    )
    assert torch.equal(out.clip_scores, expected.softmax(1))
    # One crop, and a 2D recognizer that averages its segments: as they are.
    for num_clips in (6, 8, 4):
        (out,) = head.predict_by_feat(
            scores, samples([0], num_clips=num_clips)
        )
        assert torch.equal(out.clip_scores, scores.softmax(1))


def test_a_batch_of_ragged_videos_is_refused():
    head = build('VideoLevelI3DHead', average_clips='vote')
    with pytest.raises(ValueError, match='batch_size=1'):
        head.predict_by_feat(torch.randn(5, 4), samples([0, 1]))
    ragged = samples([0], num_clips=3) + samples([1], num_clips=1)
    with pytest.raises(ValueError, match='batch_size=1'):
        head.predict_by_feat(torch.randn(4, 4), ragged)
    with pytest.raises(ValueError, match='batch_size=1'):
        head.predict_by_feat(torch.randn(1, 4), samples([0, 1]))

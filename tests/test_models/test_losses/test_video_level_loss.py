"""The losses against a plain double loop, their gradients and their errors."""

import itertools
import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from loss_batches import ragged_batch
from mmaction.registry import MODELS
from torch.utils._python_dispatch import TorchDispatchMode

import vll_mmaction  # noqa: F401
from vll_mmaction.models import (
    ConsistentConstraintLoss,
    VideoLevelLoss,
    clip_groups,
    consistent_constraint_loss,
    video_level_loss,
)
from vll_mmaction.models.losses import consistency, pair_distance

OPTIONS = [
    dict(mode=m, score=s, distance=d, reduction=r)
    for m, s, d, r in itertools.product(
        ('ccl', 'euc', 'err'),
        ('prob', 'logit'),
        ('l2', 'mse'),
        ('mean', 'sum'),
    )
]


pytestmark = pytest.mark.usefixtures('one_thread')


# --- an oracle that shares nothing with the code under test ----------------


def softmax(logits):
    exps = [math.exp(x - max(logits)) for x in logits]
    return [x / sum(exps) for x in exps]


def oracle_distance(a, b, distance):
    squares = float(((np.array(a) - np.array(b)) ** 2).sum())
    return math.sqrt(squares) if distance == 'l2' else squares / len(a)


def oracle_video(rows, label, mode, score, distance, reduction):
    probs = [softmax(row) for row in rows]
    vectors = [np.array(x) for x in (probs if score == 'prob' else rows)]
    wrong = [i for i, row in enumerate(rows) if row.index(max(row)) != label]
    right = [i for i in range(len(rows)) if i not in wrong]

    def mean(values):
        if not values:
            return 0.0
        return sum(values) / (len(values) if reduction == 'mean' else 1)

    euc, err = [], []
    for k in range(len(rows)):
        for j in range(k + 1, len(rows)):
            euc.append(oracle_distance(vectors[k], vectors[j], distance))
    if right:
        target = sum(vectors[j] for j in right) / len(right)
        err = [oracle_distance(vectors[i], target, distance) for i in wrong]
    if mode == 'ccl':
        mode = 'err' if right else 'euc'
    return mean(euc) if mode == 'euc' else mean(err)


def oracle(logits, labels, ids, **options):
    videos = {}
    for row, label, video in zip(logits.tolist(), labels.tolist(), ids):
        videos.setdefault(video, ([], label))[0].append(row)
    ccl = [oracle_video(*video, **options) for video in videos.values()]
    ce = [
        sum(-math.log(softmax(row)[label]) for row in rows) / len(rows)
        for rows, label in videos.values()
    ]
    return sum(ce) / len(ce), sum(ccl) / len(ccl)


@pytest.mark.parametrize('seed', range(6))
def test_equals_double_loop(seed):
    logits, labels, ids = ragged_batch(seed)
    for options in OPTIONS:
        ce, ccl = oracle(logits, labels, ids, **options)
        for dtype, tolerance in ((torch.float64, 1e-12), (None, 1e-4)):
            out = video_level_loss(
                logits.to(dtype or torch.float32),
                labels,
                torch.tensor(ids),
                alpha=0.3,
                ccl=ConsistentConstraintLoss(**options),
            )
            assert out['loss_ce'].item() == pytest.approx(0.7 * ce, tolerance)
            assert out['loss_ccl'].item() == pytest.approx(
                0.3 * ccl, tolerance, abs=1e-7
            ), options


def test_soft_labels_equal_hard_ones():
    logits, labels, ids = ragged_batch(0, num_classes=5)
    soft = torch.nn.functional.one_hot(labels, 5).double()
    for name, value in video_level_loss(logits, labels, ids).items():
        assert torch.allclose(video_level_loss(logits, soft, ids)[name], value)
    smooth = 0.8 * soft + 0.04
    assert torch.equal(
        consistent_constraint_loss(logits, smooth, ids),
        consistent_constraint_loss(logits, labels, ids),
    )
    cross_entropy = -(smooth * logits.log_softmax(1)).sum(1)
    ids = np.array(ids)
    means = [cross_entropy[ids == i].mean() for i in set(ids.tolist())]
    assert video_level_loss(logits, smooth, ids, alpha=0)[
        'loss_ce'
    ].item() == pytest.approx(torch.stack(means).mean().item())


def test_detach_target_moves_wrong_clips_only():
    logits = torch.tensor([[3.0, 0], [2, 0], [0, 1]], requires_grad=True)
    label = torch.tensor([0, 0, 0])
    values = []
    for detach in (False, True):
        loss = consistent_constraint_loss(logits, label, detach_target=detach)
        (grad,) = torch.autograd.grad(loss, logits)
        values.append(loss.item())
        assert bool(grad[:2].any()) is not detach
        assert grad[2].any()
    assert values[0] == values[1]


# --- gradients ---------------------------------------------------------------


@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_gradcheck(options):
    for case in (0, 1, 2):  # the first video all right, all wrong, mixed
        logits, labels, ids = ragged_batch(3 + case, [4, 1, 3, 2], 3)
        # A large boost would leave the softmax without a gradient to check.
        logits = (logits / 4).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda x, y=labels, i=ids: consistent_constraint_loss(
                x, y, i, **options
            ),
            (logits,),
        )


@pytest.mark.parametrize('options', OPTIONS, ids=str)
@pytest.mark.parametrize(
    'dtype', [torch.float64, torch.float32, torch.float16, torch.bfloat16]
)
def test_gradients_are_finite(options, dtype):
    saturated = [[200.0, -200.0, 0.0], [-200.0, 200.0, 0.0]]
    cases = [
        torch.zeros(4, 3),  # identical clips
        torch.tensor([[1.0, 2.0, 3.0]]).repeat(5, 1),
        torch.tensor(saturated * 3),
        torch.tensor([[0.0, 1.0, 0.0]]),  # one clip
        torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0001]]),
    ]
    for logits, label in itertools.product(cases, range(3)):
        logits = logits.to(dtype).requires_grad_()
        labels = torch.full((len(logits),), label)
        out = video_level_loss(
            logits, labels, ccl=ConsistentConstraintLoss(**options)
        )
        total = out['loss_ce'] + out['loss_ccl']
        (grad,) = torch.autograd.grad(total, logits)
        assert total.isfinite()
        assert grad.isfinite().all()
        assert total.dtype == (
            torch.float64 if dtype == torch.float64 else torch.float32
        )


def test_loss_without_distance_still_has_a_gradient():
    logits = torch.tensor([[0.0, 1.0]], requires_grad=True)
    for mode in ('ccl', 'euc', 'err'):
        loss = consistent_constraint_loss(logits, torch.tensor([1]), mode=mode)
        (grad,) = torch.autograd.grad(loss, logits)
        assert loss.item() == 0
        assert not grad.any()


@pytest.mark.parametrize('mode', ['ccl', 'euc', 'err'])
@pytest.mark.parametrize('num_clips', [1, 3])
def test_nan_is_not_hidden(mode, num_clips):
    logits = torch.zeros(num_clips, 2)
    logits[-1, 0] = float('nan')
    label = torch.zeros(num_clips, dtype=torch.int64)
    assert consistent_constraint_loss(logits, label, mode=mode).isnan()
    assert video_level_loss(logits, label)['loss_ce'].isnan()


def test_autocast_does_not_lower_precision():
    logits, labels, ids = ragged_batch(2)
    logits = logits.float()
    expected = video_level_loss(logits, labels, ids)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = video_level_loss(logits, labels, ids)
    for name in expected:
        assert torch.equal(out[name], expected[name])


# --- many pairs --------------------------------------------------------------


class LargestTensor(TorchDispatchMode):
    """Elements of the largest floating-point tensor made meanwhile."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.is_floating_point():
            self.size = max(self.size, out.numel())
        return out


@pytest.mark.parametrize('distance', ['l2', 'mse'])
def test_chunks_equal_one_gather(monkeypatch, distance):
    logits, labels, ids = ragged_batch(4, [60, 3, 25], 17)
    logits.requires_grad_()
    results = []
    for limit in (2**24, 1000):
        monkeypatch.setattr(pair_distance, '_MAX_GATHERED', limit)
        with LargestTensor() as largest:
            loss = consistent_constraint_loss(
                logits, labels, ids, mode='euc', distance=distance
            )
            results.append([loss, *torch.autograd.grad(loss, logits)])
    assert largest.size == logits.numel()
    for whole, chunked in zip(*results):
        assert torch.allclose(whole, chunked, rtol=1e-12, atol=1e-15)


def test_a_long_video():
    logits = torch.randn(1500, 20, requires_grad=True)
    label = torch.zeros(1500, dtype=torch.int64)
    loss = consistent_constraint_loss(logits, label, mode='euc')
    loss.backward()
    expected = torch.pdist(logits.detach().softmax(1)).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert logits.grad.isfinite().all()


# --- the device is not waited for --------------------------------------------


# Without a GPU: test_cuda_path.py.


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_cuda_does_not_synchronise(options, monkeypatch):
    logits, labels, ids = ragged_batch(5)
    ids = torch.tensor(ids)
    loss = VideoLevelLoss(ccl=dict(type='ConsistentConstraintLoss', **options))
    expected = loss(logits, labels, ids)
    cuda_logits = logits.cuda().requires_grad_()
    cuda_labels = labels.cuda()
    for limit in (2**24, 4000):
        monkeypatch.setattr(pair_distance, '_MAX_GATHERED', limit)
        torch.cuda.set_sync_debug_mode('error')
        try:
            out = loss(cuda_logits, cuda_labels, ids)
            (out['loss_ce'] + out['loss_ccl']).backward()
        finally:
            torch.cuda.set_sync_debug_mode('default')
        for name in expected:
            assert torch.allclose(out[name].cpu(), expected[name])


# --- modules and errors ------------------------------------------------------


def test_modules_are_registered_and_thin():
    logits, labels, ids = ragged_batch(0)
    options = dict(mode='err', score='logit', distance='mse')
    ccl = MODELS.build(dict(type='ConsistentConstraintLoss', **options))
    assert torch.equal(
        ccl(logits, labels, ids),
        consistent_constraint_loss(logits, labels, ids, **options),
    )
    loss = MODELS.build(
        dict(
            type='VideoLevelLoss',
            alpha=0.5,
            ccl=dict(type='ConsistentConstraintLoss', mode='euc'),
        )
    )
    assert set(loss(logits, labels, ids)) == {'loss_ce', 'loss_ccl'}
    assert VideoLevelLoss().alpha == 0.3
    assert VideoLevelLoss().ccl.options['mode'] == 'ccl'
    assert 'mode' in repr(loss) and 'alpha=0.5' in repr(loss)


@pytest.mark.parametrize('alpha', [0, 1, 0.25])
def test_alpha_weighs_the_terms(alpha):
    logits, labels, ids = ragged_batch(0)
    ce, ccl = oracle(logits, labels, ids, **OPTIONS[0])  # the defaults
    out = VideoLevelLoss(alpha)(logits, labels, ids)
    assert out['loss_ce'].item() == pytest.approx((1 - alpha) * ce)
    assert out['loss_ccl'].item() == pytest.approx(alpha * ccl)


@pytest.mark.parametrize(
    'alpha, error',
    [
        (-0.1, ValueError),
        (1.1, ValueError),
        (float('nan'), ValueError),
        ('0.3', TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_alpha_is_checked(alpha, error):
    with pytest.raises(error, match='alpha'):
        VideoLevelLoss(alpha)


@pytest.mark.parametrize(
    'option, allowed',
    [
        (dict(mode='both'), "'ccl', 'euc', 'err'"),
        (dict(score='softmax'), "'prob', 'logit'"),
        (dict(distance='cosine'), "'l2', 'mse'"),
        (dict(reduction='none'), "'mean', 'sum'"),
        (dict(detach_target=1), 'False, True'),
    ],
)
def test_options_are_checked(option, allowed):
    value = repr(*option.values())
    with pytest.raises(ValueError, match=f'{allowed}.* but got {value}'):
        ConsistentConstraintLoss(**option)
    with pytest.raises(ValueError, match=allowed):
        consistent_constraint_loss(
            torch.zeros(1, 2), torch.tensor([0]), **option
        )


@pytest.mark.parametrize(
    'scores, label, ids, error, match',
    [
        (torch.zeros(2), torch.zeros(2).long(), None, ValueError, 'cls_score'),
        (torch.zeros(2, 3).long(), torch.zeros(2), None, ValueError, 'int64'),
        (torch.zeros(0, 3), torch.zeros(0).long(), None, ValueError, 'one cl'),
        (torch.zeros(2, 3), torch.zeros(3).long(), None, ValueError, 'label'),
        (torch.zeros(2, 3), torch.zeros(2), None, ValueError, 'soft labels'),
        (torch.zeros(2, 3), torch.zeros(2, 1).long(), None, ValueError, 'lab'),
        (torch.zeros(2, 3), torch.zeros(2).bool(), None, ValueError, 'bool'),
        (torch.zeros(2, 3), [0, 0], None, TypeError, 'label'),
        (torch.zeros(1, 3), torch.tensor([3]), None, ValueError, '3 is out'),
        (torch.zeros(1, 3), torch.tensor([-1]), None, ValueError, '-1 is out'),
        (torch.zeros(2, 3), torch.zeros(2).long(), [1], ValueError, 'ids'),
        (torch.zeros(1, 3), torch.zeros(1).long(), [[1]], ValueError, 'ids'),
        (torch.zeros(1, 3), torch.zeros(1).long(), [1.5], TypeError, 'ids'),
        (torch.zeros(1, 3), torch.zeros(1).long(), ['a'], TypeError, 'ids'),
    ],
)
def test_batches_are_checked(scores, label, ids, error, match):
    for loss in (consistent_constraint_loss, video_level_loss):
        with pytest.raises(error, match=match):
            loss(scores, label, ids)


def test_several_labels_need_ids():
    logits, labels = torch.randn(3, 4), torch.tensor([1, 1, 2])
    for loss in (ConsistentConstraintLoss(), VideoLevelLoss()):
        with pytest.raises(ValueError, match="'VideoLevelI3DHead' instead"):
            loss(logits, labels)
        with pytest.raises(ValueError, match='VideoLevelI3DHead'):
            loss(logits, torch.eye(4)[labels])
        loss(logits, labels, [0, 0, 1])
        loss(logits, labels.fill_(1))
        labels[2] = 2


@pytest.mark.parametrize('kind', ['hard', 'soft'])
def test_class_weight_of_single_clips_equals_stock(kind):
    logits, label = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 1, 2])
    if kind == 'soft':
        label = torch.eye(3)[label] * 0.7 + 0.1
    weight = [0.5, 1, 4]
    stock = MODELS.build(dict(type='CrossEntropyLoss', class_weight=weight))
    ours = VideoLevelLoss(alpha=0, class_weight=weight)
    torch.testing.assert_close(
        ours(logits, label, range(6))['loss_ce'], stock(logits, label)
    )
    assert 'class_weight' not in ours.state_dict()


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('seed', range(3))
def test_class_weight_equals_plain_loop(seed, soft):
    logits, labels, ids = ragged_batch(seed, num_classes=5)
    weight = [0.5, 1, 2, 4, 8]
    target = torch.eye(5).double()[labels] * 0.8 + 0.04
    ce, total = 0.0, 0.0
    for video in set(ids):
        own = [i for i, other in enumerate(ids) if other == video]
        for i in own:
            probs = softmax(logits[i].tolist())
            for k in range(5):
                share = target[i, k].item() if soft else int(labels[i] == k)
                share = weight[k] * share / len(own)
                ce -= share * math.log(probs[k])
                total += share
    loss = VideoLevelLoss(alpha=0.3, class_weight=weight)
    out = loss(logits, target if soft else labels, ids)
    assert out['loss_ce'].item() == pytest.approx(0.7 * float(ce / total))
    plain = VideoLevelLoss(alpha=0.3)(logits, labels, ids)
    assert out['loss_ccl'] == plain['loss_ccl']
    equal = VideoLevelLoss(alpha=0.3, class_weight=[3] * 5)
    assert equal(logits, labels, ids)['loss_ce'].item() == pytest.approx(
        plain['loss_ce'].item()
    )


def test_class_weight_is_checked():
    for weight in ([1, 0, 2], [1.0, -1, 2], [float('nan')]):
        with pytest.raises(ValueError, match='class_weight must be positive'):
            VideoLevelLoss(class_weight=weight)
    loss = VideoLevelLoss(class_weight=[1, 2])
    with pytest.raises(ValueError, match=r'each of 3 classes.*shape \(2,\)'):
        loss(torch.zeros(1, 3), torch.tensor([0]))


# --- groups prepared beforehand, and compiled graphs -------------------------


@pytest.mark.parametrize('seed', range(3))
def test_clip_groups_give_the_same_bits(seed):
    logits, labels, ids = ragged_batch(seed)
    groups = clip_groups(ids)
    for options in OPTIONS:
        ccl = ConsistentConstraintLoss(**options)
        one = video_level_loss(logits, labels, ids, ccl=ccl)
        other = video_level_loss(logits, labels, groups, ccl=ccl)
        for name in one:
            assert torch.equal(one[name], other[name])


def test_clip_groups_are_checked():
    logits, labels = torch.randn(3, 4), torch.ones(3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r'shape \(3,\).*got \(2,\)'):
        video_level_loss(logits, labels, clip_groups([1, 1]))


@pytest.mark.parametrize('mode', ['ccl', 'euc', 'err'])
def test_compiles_to_one_graph(mode):
    def loss(logits, labels, groups):
        return video_level_loss(
            logits, labels, groups, ccl=ConsistentConstraintLoss(mode=mode)
        )

    compiled = torch.compile(loss, fullgraph=True, backend='aot_eager')
    for seed, soft in ((0, False), (1, False), (2, True)):
        logits, labels, ids = ragged_batch(seed, num_classes=5)
        labels = torch.eye(5).double()[labels] if soft else labels
        grads = []
        for run in (compiled, loss):
            x = logits.float().requires_grad_()
            terms = run(x, labels, clip_groups(ids))
            sum(terms.values()).backward()
            grads.append((x.grad, terms))
        torch.testing.assert_close(*[grad for grad, _ in grads])
        for name in terms:
            torch.testing.assert_close(*[terms[name] for _, terms in grads])


# --- properties of every mode -----------------------------

# Also of modes that the oracle above doesn't know.
ANY_OPTIONS = st.fixed_dictionaries(
    {
        name: st.sampled_from(consistency._ALLOWED[name])
        for name in ('mode', 'score', 'distance', 'reduction')
    }
)


@st.composite
def batches(draw):
    """Logits (float64), labels and ids of 1 to 4 videos of 1 to 5 clips."""
    num_classes = draw(st.integers(2, 5))
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    logits = draw(
        hnp.arrays(
            np.int64, (sum(sizes), num_classes), elements=st.integers(-20, 20)
        )
    )
    # Quarters and hundredths: no two classes of a clip are equal.
    logits = logits / 4 + np.arange(num_classes) / 100
    classes = st.integers(0, num_classes - 1)
    labels = [draw(classes) for _ in sizes]
    return (
        torch.from_numpy(logits),
        torch.tensor(np.repeat(labels, sizes)),
        np.repeat(np.arange(len(sizes)), sizes),
    )


def terms(logits, labels, ids, options):
    ccl = ConsistentConstraintLoss(**options)
    out = video_level_loss(logits, labels, ids, ccl=ccl)
    return torch.stack([out['loss_ce'], out['loss_ccl']])


def assert_equal(one, other):
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@given(batches(), ANY_OPTIONS, st.randoms())
def test_order_of_clips_and_names_of_videos_do_not_matter(
    batch, options, random
):
    logits, labels, ids = batch
    order = list(range(len(ids)))
    random.shuffle(order)
    names = [3 * number - 7 for number in range(ids.max() + 1)]
    random.shuffle(names)
    assert_equal(
        terms(
            logits[order], labels[order], np.array(names)[ids][order], options
        ),
        terms(logits, labels, ids, options),
    )


@given(batches(), ANY_OPTIONS)
def test_loss_of_a_batch_is_the_mean_over_its_videos(batch, options):
    logits, labels, ids = batch
    alone = [
        terms(logits[ids == video], labels[ids == video], None, options)
        for video in np.unique(ids)
    ]
    whole = terms(logits, labels, ids, options)
    assert_equal(whole, torch.stack(alone).mean(0))
    # A video that comes again weighs twice.
    first = ids == 0
    again = terms(
        torch.cat([logits, logits[first]]),
        torch.cat([labels, labels[first]]),
        np.concatenate([ids, np.full(first.sum(), -1)]),
        options,
    )
    assert_equal(again, torch.stack([*alone, alone[0]]).mean(0))


@given(batches(), ANY_OPTIONS, st.randoms(), st.integers(-50, 50))
def test_names_of_classes_and_a_common_shift_do_not_matter(
    batch, options, random, shift
):
    logits, labels, ids = batch
    order = list(range(logits.shape[1]))
    random.shuffle(order)
    renamed = torch.tensor(order).argsort()[labels]
    assert_equal(
        terms(logits[:, order] + shift, renamed, ids, options),
        terms(logits, labels, ids, options),
    )


@given(batches(), ANY_OPTIONS)
def test_bounds(batch, options):
    logits, labels, ids = batch
    ce, ccl = terms(logits, labels, ids, options)
    assert ce >= 0 and ccl >= 0
    if (options['score'], options['reduction']) == ('prob', 'mean'):
        # No two points of the simplex are farther apart.
        assert ccl <= 0.3 * math.sqrt(2) + 1e-12
    same = logits[[0] * len(ids)]
    one_label = labels[[0] * len(ids)]
    assert terms(same, one_label, ids, options)[1] < 1e-12


@given(batches(), st.sampled_from(OPTIONS))
def test_equals_double_loop_everywhere(batch, options):
    logits, labels, ids = batch
    ce, ccl = oracle(logits, labels, ids, **options)
    assert_equal(
        terms(logits, labels, ids, options),
        torch.tensor([0.7 * ce, 0.3 * ccl], dtype=torch.float64),
    )


@pytest.mark.parametrize(
    'dtype', [torch.float16, torch.bfloat16, torch.float32]
)
@settings(max_examples=40)
@given(data=st.data())
def test_edges_of_a_type(dtype, data):
    info = torch.finfo(dtype)
    # Twice the half of the largest is the largest difference there is.
    edges = [0, 1, info.eps, info.tiny, info.smallest_normal / 4, 30]
    edges += [info.max / 2, math.sqrt(info.max)]
    edges += [-edge for edge in edges]
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(2, 4)))
    values = data.draw(
        hnp.arrays(object, shape, elements=st.sampled_from(edges))
    )
    logits = torch.tensor(values.tolist(), dtype=dtype)
    best = logits.double().topk(2).values
    assume(bool((best[:, 0] > best[:, 1]).all()))  # no draw for the first
    label = data.draw(st.integers(0, shape[1] - 1))
    labels = torch.full(shape[:1], label)
    options = data.draw(st.sampled_from(OPTIONS))
    assume(options['score'] == 'prob' or info.max < 1e5)
    logits.requires_grad_()
    out = terms(logits, labels, None, options)
    (grad,) = torch.autograd.grad(out.sum(), logits)
    assert out.isfinite().all() and out.dtype == torch.float32
    assert grad.isfinite().all() and grad.dtype == dtype
    rows = logits.detach().double()
    ccl = oracle_video(rows.tolist(), label, **options)
    ce = -rows.log_softmax(1)[:, label].mean()
    torch.testing.assert_close(
        out.double(),
        torch.stack([0.7 * ce, torch.tensor(0.3 * ccl).double()]),
        rtol=1e-5,
        atol=1e-6,
    )

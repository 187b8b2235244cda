"""Losses, heads and recognizers as on a GPU: devices, types, no waiting.

There is no GPU: see ``emulated_cuda.py`` for what stands in for it. With one,
``test_cuda_does_not_synchronise`` of the neighbouring files run as well.
"""

import copy
import itertools

import pytest
import torch
from emulated_cuda import CUDA, CudaTensor, HostWait
from loss_batches import ragged_batch
from mmaction.registry import MODELS
from mmengine.optim import AmpOptimWrapper
from small_heads import HEADS
from small_heads import build as build_head
from small_heads import samples as head_samples
from tiny_recognizers import batch, keep_activations, sample
from tiny_recognizers import build as build_recognizer
from torch import nn

from vll_mmaction.models import (
    C3DLite,
    ConsistentConstraintLoss,
    clip_groups,
    video_level_loss,
)
from vll_mmaction.models.heads.class_layer import NO_CLASS_LAYER
from vll_mmaction.models.losses import consistency, pair_distance

TYPES = [torch.float32, torch.bfloat16, torch.float16]
OPTIONS = [
    dict(zip(('mode', 'score', 'distance', 'detach_target'), values))
    for values in itertools.product(
        consistency.MODES,
        ('prob', 'logit'),
        ('l2', 'mse'),
        (False, True),
    )
]
NORMALISE = dict(mean=[120.0, 110.0, 100.0], std=[58.0, 57.0, 56.0])
ATTENDING = sorted(HEADS.keys() - NO_CLASS_LAYER)
VLL = dict(loss_cls=dict(type='VideoLevelLoss'))


pytestmark = pytest.mark.usefixtures('one_thread')


def assert_on_cuda(tensors, dtype=torch.float32):
    for name, tensor in tensors.items():
        assert isinstance(tensor, CudaTensor), name
        assert tensor.device == CUDA and tensor.dtype == dtype, name


def assert_same_values(one, other):
    assert set(one) == set(other)
    for name, tensor in one.items():
        torch.testing.assert_close(tensor.values, other[name])


def values_of(model):
    return {k: p.values.clone() for k, p in model.named_parameters()}


def cast_to(dtype):
    return torch.autocast('cuda', dtype, enabled=dtype is not None)


def total(terms):
    return sum(v for k, v in terms.items() if 'loss' in k)


# --- the stand-in ------------------------------------------------------------


@pytest.mark.parametrize(
    'wait',
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).all()),
        lambda x: x.cpu(),
        lambda x: x.to('cpu', non_blocking=True),
        lambda x: torch.empty(3).copy_(x),
        lambda x: x[x > 0],
        lambda x: x.masked_fill_(x > 0, 1).nonzero(),
        lambda x: x.unique(),
        lambda x: torch.equal(x, x),
        lambda x: x.repeat_interleave(x.long()),
        lambda x: torch.tensor([1.0, 2.0, 3.0], device=x.device),
        lambda x: torch.ones(3).to(x.device),
        lambda x: torch.ones(3).to(x.device, non_blocking=True),
        lambda x: torch.ones(3).pin_memory().to(x.device),
        lambda x: x.new_empty(3).copy_(torch.ones(3)),
    ],
)
def test_what_waits_for_the_device_is_refused(cuda, wait):
    x = cuda.upload(torch.tensor([0.0, 1, 2]))
    with pytest.raises(HostWait):
        wait(x)
    with cuda.waits_allowed():
        wait(x)


@pytest.mark.parametrize(
    'mix',
    [
        lambda x: x + torch.ones(3),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: torch.stack([x, torch.ones(3)]),
        lambda x: x.index_add(0, torch.tensor([0]), x[:1]),
    ],
)
def test_a_mix_of_devices_is_refused(cuda, mix):
    with pytest.raises(RuntimeError, match='on the CPU and on CUDA'):
        mix(cuda.upload(torch.tensor([0.0, 1, 2])))


def test_what_is_fine_on_the_device(cuda):
    x = cuda.upload(torch.tensor([0.0, 1, 2]))
    host = torch.ones(3).pin_memory()
    y = x * 2 + host.to(x.device, non_blocking=True) + torch.tensor(1.0)
    y[1:].sub_(torch.zeros(2, device='cuda'))
    assert y.values.tolist() == [2, 4, 6]
    assert y.device == CUDA and y.is_cuda and y.long().dtype == torch.int64


# --- losses ------------------------------------------------------------------


@pytest.mark.parametrize('dtype', TYPES, ids=str)
@pytest.mark.parametrize('options', OPTIONS, ids=str)
def test_losses(cuda, options, dtype, monkeypatch):
    logits, labels, ids = ragged_batch(3)
    logits = logits.to(dtype).requires_grad_()
    soft = torch.eye(logits.shape[1])[labels] * 0.9
    # The last one takes the pairs in chunks, which it recomputes.
    assert len(clip_groups(ids).first) * logits.shape[1] > 20000
    ccl = ConsistentConstraintLoss(**options)
    for limit, target in ((2**24, labels), (2**24, soft), (20000, labels)):
        monkeypatch.setattr(pair_distance, '_MAX_GATHERED', limit)
        expected = video_level_loss(logits, target, ids, ccl=ccl)
        (grad,) = torch.autograd.grad(total(expected), logits)
        on_cuda = cuda.upload(logits)
        out = video_level_loss(on_cuda, cuda.upload(target), ids, ccl=ccl)
        total(out).backward()
        assert_on_cuda(out)
        assert_on_cuda(dict(grad=on_cuda.grad), dtype)
        for name, term in expected.items():
            assert out[name].shape == ()
            assert torch.equal(out[name].values, term)
        assert torch.equal(on_cuda.grad.values, grad)


@pytest.mark.parametrize(
    'config',
    [
        dict(type='VideoLevelLoss', class_weight=[1.0] * 3),
        dict(type='VideoPredictionLoss', average_clips='prob'),
        dict(type='VideoPredictionLoss', average_clips='score'),
    ],
    ids=str,
)
@pytest.mark.parametrize('autocast', [None, *TYPES[1:]])
@pytest.mark.parametrize('kind', [list, torch.tensor, clip_groups])
def test_modules_in_autocast_with_labels_on_either_device(
    cuda, kind, autocast, config
):
    logits, labels, ids = ragged_batch(1, num_classes=3)
    logits = logits.to(autocast or torch.float32).requires_grad_()
    loss = MODELS.build(config)
    cast = cast_to(autocast)
    expected = loss(logits, labels, ids)
    for target in (labels, cuda.upload(labels)):
        on_cuda = cuda.upload(logits)
        with cast:
            out = loss(on_cuda, target, kind(ids))
        terms = out if isinstance(out, dict) else dict(loss=out)
        total(terms).backward()
        assert_on_cuda(terms)
        assert_on_cuda(dict(grad=on_cuda.grad), logits.dtype)
        one = expected if isinstance(out, dict) else dict(loss=expected)
        for key, value in one.items():
            assert torch.equal(terms[key].values, value)


def test_a_wait_in_the_loss_would_be_seen(cuda, monkeypatch):
    def waits(batch):
        return batch.scores.sum() * batch.right.sum().item()

    def mixes(batch):
        return (batch.scores[:, 0] * torch.ones(len(batch.scores))).sum()

    logits, labels, ids = ragged_batch(3)
    logits, labels = cuda.upload(logits), cuda.upload(labels)
    for function, error in ((waits, HostWait), (mixes, RuntimeError)):
        monkeypatch.setitem(consistency.MODES, 'ccl', function)
        with pytest.raises(error):
            video_level_loss(logits, labels, ids)


# --- heads -------------------------------------------------------------------


def on_device(cuda, tree):
    return torch.utils._pytree.tree_map(cuda.upload, tree)


def moved(cuda, module):
    """A copy of a module on the device."""
    module = copy.deepcopy(module)
    with cuda.waits_allowed():
        return module.to('cuda')


@pytest.mark.parametrize('smooth', [0, 0.1])
@pytest.mark.parametrize('dtype', TYPES, ids=str)
@pytest.mark.parametrize(
    'twin, name',
    [('VideoLevel', name) for name in HEADS]
    + [('VideoAttention', name) for name in ATTENDING],
)
def test_heads(cuda, twin, name, dtype, smooth):
    attends = twin == 'VideoAttention'
    _, features, kwargs = HEADS[name]
    options = dict(label_smooth_eps=smooth, topk=(1, 3))
    if attends:
        options.update(average_clips='attention')
    else:
        loss = dict(type='VideoLevelLoss', class_weight=[1, 2, 3, 4])
        options.update(average_clips='vote', loss_cls=loss)
    head = build_head(f'{twin}{name}', **options).eval()
    if attends:
        nn.init.normal_(head.gate.w.weight)
    feats = features(5)
    samples = head_samples([1, 2, 1, 2, 2], [3, 4, 3, 4, 4])
    expected = head.loss(feats, samples, **kwargs)
    total(expected).backward()
    ours = moved(cuda, head)
    with cuda.waits_allowed():
        on_cuda = [x.to('cuda') for x in samples]
    feats = on_device(cuda, feats)
    cast = cast_to(dtype if dtype != torch.float32 else None)
    with cast:
        out = ours.loss(feats, on_cuda, **kwargs)
        scores = ours(feats, **kwargs)
    total(out).backward()
    assert scores.dtype == ours.training_scores.dtype == dtype
    assert_on_cuda(out)
    assert set(out) == set(expected) > {'top1_acc', 'agreement', 'loss_ce'}
    for parameter, twin in zip(ours.parameters(), head.parameters()):
        assert isinstance(parameter, CudaTensor)
        if twin.grad is not None:
            assert_on_cuda(dict(grad=parameter.grad))
            if dtype == torch.float32:
                assert torch.equal(parameter.grad.values, twin.grad)
    if dtype == torch.float32:
        for key, value in expected.items():
            assert torch.equal(out[key].values, value)

    # The clips of one video, of one size.
    with torch.no_grad(), cast:
        (predicted,) = ours.predict(feats, on_cuda[:1], **kwargs)
    assert predicted.pred_score.shape == (4,)
    assert predicted.clip_scores.shape == (5, 4)
    assert_on_cuda(
        dict(score=predicted.pred_score, clips=predicted.clip_scores)
    )
    assert_on_cuda(dict(label=predicted.pred_label), torch.int64)
    if attends:
        assert predicted.clip_weights.shape == (5,)
        assert_on_cuda(dict(weights=predicted.clip_weights))


def test_soft_labels_alone_wait_in_the_head(cuda):
    # To refuse blended clips it has to compare labels of the device.
    head = moved(cuda, build_head('VideoLevelI3DHead', **VLL))
    labels = torch.eye(4)[[1, 1, 2]]
    with cuda.waits_allowed():
        samples = [x.to('cuda') for x in head_samples(labels, [6, 6, 7])]
    scores = cuda.upload(torch.randn(3, 4))
    with pytest.raises((HostWait, RuntimeError)):
        head.loss_by_feat(scores, samples)


# --- recognizers -------------------------------------------------------------


def losses_on(cuda, model, data, autocast=None):
    """Losses and gradients of a batch as the runner brings it."""
    model.zero_grad()
    # MMEngine copies each clip in a call that waits.
    with cuda.waits_allowed():
        data = model.data_preprocessor(copy.deepcopy(data), True)
    cast = cast_to(autocast)
    with cast:
        out = model(**data, mode='loss')
        loss, _ = model.parse_losses(out)
    loss.backward()
    return out, {n: p.grad for n, p in model.named_parameters()}


@pytest.mark.parametrize('autocast', [None, *TYPES[1:]])
@pytest.mark.parametrize('views', [None, 2])
@pytest.mark.parametrize('two_d', [False, True])
@pytest.mark.parametrize(
    'kind', ['ActionDataPreprocessor', 'ClipDataPreprocessor']
)
def test_recognizers(cuda, kind, two_d, views, autocast):
    shape = (2, 3, 6, 6) if two_d else (1, 3, 4, 6, 6)
    form = 'NCHW' if two_d else 'NCTHW'
    preprocessor = dict(type=kind, format_shape=form, **NORMALISE)
    model = build_recognizer(
        views, two_d=two_d, data_preprocessor=preprocessor
    ).eval()
    data = batch(shape=shape)
    ours = moved(cuda, model)
    out, grads = losses_on(cuda, ours, data, autocast)
    assert_on_cuda(out)
    assert_on_cuda(grads)
    assert ours.cls_head.training_scores.dtype == (autocast or torch.float32)
    if autocast is None:
        cpu = model(**model.data_preprocessor(data, True), mode='loss')
        model.parse_losses(cpu)[0].backward()
        for key, value in cpu.items():
            assert torch.equal(out[key].values, value)
        for key, parameter in model.named_parameters():
            assert torch.equal(grads[key].values, parameter.grad)


@pytest.mark.parametrize('autocast', [None, *TYPES[1:]])
@pytest.mark.parametrize('norm', [None, nn.BatchNorm3d])
def test_recomputed_chunks(cuda, norm, autocast, monkeypatch):
    """Draws of the device, autocast and statistics are as the first time."""
    model = build_recognizer(2, backbone=dict(norm=norm)).train()
    one, other = moved(cuda, model), moved(cuda, model)
    state = cuda.rng_state
    losses, grads = losses_on(cuda, one, batch(), autocast)
    after, cuda.rng_state = cuda.rng_state, state
    keep_activations(monkeypatch)
    expected_losses, expected = losses_on(cuda, other, batch(), autocast)
    assert len(one.backbone.seen) == 2 * len(other.backbone.seen) - 1
    for ours, theirs in (
        (losses, expected_losses),
        (grads, expected),
        (dict(one.named_buffers()), dict(other.named_buffers())),
    ):
        for name, tensor in theirs.items():
            assert torch.equal(ours[name].values, tensor.values), name
    assert torch.equal(after, cuda.rng_state)
    assert not torch.equal(after, state)  # dropout draws on the device


@pytest.mark.parametrize('autocast', [None, *TYPES[1:]])
@pytest.mark.parametrize('views', [None, 2])
def test_selective_backward(cuda, views, autocast):
    """Order and weights reach the device without waiting for it."""
    train_cfg = dict(max_training_views=views, backward_share=0.5)
    model = build_recognizer(train_cfg=train_cfg).eval()
    ours = moved(cuda, model)
    torch.manual_seed(1)
    out, grads = losses_on(cuda, ours, batch(), autocast)
    assert_on_cuda(out)
    assert_on_cuda(grads)
    assert model.cls_head.training_scores is None
    assert ours.cls_head.training_scores.dtype == (autocast or torch.float32)
    if autocast is None:
        torch.manual_seed(1)
        cpu = model(**model.data_preprocessor(batch(), True), mode='loss')
        model.parse_losses(cpu)[0].backward()
        for key, parameter in model.named_parameters():
            assert torch.equal(grads[key].values, parameter.grad)


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_train_step_with_scaler_and_accumulation(cuda, dtype, monkeypatch):
    amp = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
    monkeypatch.setattr(f'{amp}.is_cuda_available', lambda: True)
    monkeypatch.setattr('mmengine.runner.amp.get_device', lambda: 'cuda')
    model = build_recognizer(2).train()
    found = []
    for recompute in (True, False):
        if not recompute:
            keep_activations(monkeypatch)
        one = moved(cuda, model)
        before = values_of(one)
        wrapper = AmpOptimWrapper(
            dtype=dtype,
            loss_scale=256.0,
            optimizer=torch.optim.SGD(one.parameters(), lr=0.1),
            accumulative_counts=2,
        )
        wrapper.initialize_count_status(one, 0, 2)
        state = cuda.rng_state
        # The copy of the clips and the scaler's look at the gradients wait.
        with cuda.waits_allowed():
            for step in range(2):
                one.train_step(batch(seed=step), wrapper)
        cuda.rng_state = state
        found.append(values_of(one))
        assert one.cls_head.training_scores.dtype == getattr(torch, dtype)
    for name, value in found[0].items():
        assert torch.equal(value, found[1][name])
        assert not torch.equal(value, before[name])


@pytest.mark.parametrize('views', [None, 2])
@pytest.mark.parametrize('two_d', [False, True])
@pytest.mark.parametrize('autocast', [None, *TYPES[1:]])
def test_predictions(cuda, autocast, two_d, views):
    test_cfg = dict(num_segs=2) if two_d else {}
    if views:
        test_cfg['max_testing_views'] = views
    model = build_recognizer(two_d=two_d, test_cfg=test_cfg).eval()
    shape = (12, 3, 6, 6) if two_d else (6, 3, 4, 6, 6)
    clips = torch.randint(256, shape, dtype=torch.uint8)
    data = dict(inputs=[clips], data_samples=[sample(2)])
    ours = moved(cuda, model)
    with cuda.waits_allowed():
        moved_data = ours.data_preprocessor(copy.deepcopy(data), False)
    cast = cast_to(autocast)
    with torch.no_grad(), cast:
        (out,) = ours(**moved_data, mode='predict')
    with torch.no_grad():
        (expected,) = model.val_step(data)
    assert out.pred_score.shape == (4,) and out.clip_scores.shape == (6, 4)
    assert_on_cuda(dict(score=out.pred_score, clips=out.clip_scores))
    assert_on_cuda(dict(label=out.pred_label), torch.int64)
    if autocast is None:
        assert torch.equal(out.clip_scores.values, expected.clip_scores)
        assert torch.equal(out.pred_score.values, expected.pred_score)


def preprocessors(cuda):
    """Stock's and ours on the device."""
    for kind in ('ActionDataPreprocessor', 'ClipDataPreprocessor'):
        config = dict(type=kind, format_shape='NCTHW', **NORMALISE)
        yield moved(cuda, MODELS.build(config))


@pytest.mark.parametrize('training', [False, True])
def test_preprocessor_works_on_the_device(cuda, training):
    stock, ours = preprocessors(cuda)
    data = batch()
    # Of clips that are there already nothing waits.
    data['inputs'] = on_device(cuda, data['inputs'])
    with cuda.waits_allowed():
        data['data_samples'] = [x.to('cuda') for x in data['data_samples']]
    out = ours(data, training)['inputs']
    assert_on_cuda(dict(inputs=out))
    assert out.shape == (7, 1, 3, 4, 6, 6)
    assert torch.equal(out.values, stock(data, training)['inputs'].values)
    assert data['inputs'][0].dtype == torch.uint8


def test_pinned_clips_are_copied_without_waiting(cuda):
    stock, ours = preprocessors(cuda)
    clips = batch()['inputs']
    pinned = [clip.pin_memory() for clip in clips]
    sent = ours.cast_data(dict(inputs=pinned))['inputs']
    assert_on_cuda(dict(enumerate(sent)), torch.uint8)
    assert all(torch.equal(x.values, y) for x, y in zip(sent, clips))
    for preprocessor, waiting in ((ours, clips), (stock, pinned)):
        with pytest.raises(HostWait):
            preprocessor.cast_data(dict(inputs=waiting))


# --- C3D-lite ----------------------------------------------------------------


@pytest.mark.parametrize('autocast', [None, *TYPES[1:]])
@pytest.mark.parametrize('channels_last', [False, True])
def test_c3d_lite(cuda, channels_last, autocast):
    model = C3DLite(
        fc_channels=16,
        conv_channels=(4, 4, 8, 8, 8),
        input_size=(7, 20, 28),
        channels_last=channels_last,
        dropout_ratio=0,
    )
    clips = torch.randn(3, 3, 7, 20, 28)
    ours = moved(cuda, model)
    with cast_to(autocast):
        out = ours(cuda.upload(clips))
    out.float().sum().backward()
    assert_on_cuda(dict(out=out), autocast or torch.float32)
    grads = {n: p.grad for n, p in ours.named_parameters()}
    assert_on_cuda(grads)
    layout = torch.channels_last_3d if channels_last else None
    for parameter in ours.parameters():
        if parameter.dim() == 5 and layout:
            assert parameter.is_contiguous(memory_format=layout)
    if autocast is None:
        model(clips).sum().backward()
        for name, parameter in model.named_parameters():
            assert torch.equal(grads[name].values, parameter.grad)

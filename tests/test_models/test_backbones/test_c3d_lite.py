"""Shapes, initialisation and partial loading of C3D-lite."""

import os
import pickle

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper
from mmengine.runner import save_checkpoint

from vll_mmaction.compat import reads_weights_only
from vll_mmaction.models import C3DLite

SMALL = dict(
    fc_channels=32, conv_channels=(4, 4, 8, 8, 8), input_size=(8, 20, 28)
)


pytestmark = pytest.mark.usefixtures('one_thread')


def recognizer(**backbone):
    model = dict(
        type='Recognizer3D',
        data_preprocessor=dict(type='mmaction.ActionDataPreprocessor'),
        backbone=dict(type='C3DLite', **{**SMALL, **backbone}),
        cls_head=dict(
            type='VideoLevelI3DHead',
            num_classes=3,
            in_channels=32,
            spatial_type=None,
            dropout_ratio=0,
            loss_cls=dict(type='VideoLevelLoss'),
        ),
    )
    return MODELS.build(model)


def test_the_network_of_the_paper():
    model = C3DLite().eval()
    shapes = {
        'conv1.weight': (64, 3, 3, 3, 3),
        'conv2.weight': (128, 64, 3, 3, 3),
        'conv3.weight': (256, 128, 3, 3, 3),
        'conv4.weight': (256, 256, 3, 3, 3),
        'conv5.weight': (256, 256, 3, 3, 3),
        'fc6.weight': (4096, 256 * 4 * 4),
        'fc7.weight': (4096, 4096),
    }
    state = model.state_dict()
    assert {k: tuple(state[k].shape) for k in shapes} == shapes
    assert len(state) == 2 * len(shapes)

    sizes = []
    model.fc6.register_forward_pre_hook(lambda _, x: sizes.append(x[0].shape))
    with torch.no_grad():
        out = model(torch.zeros(1, 3, 16, 112, 112))
    assert sizes == [(1, 256 * 4 * 4)]
    assert out.shape == (1, 4096)


@pytest.mark.parametrize('size', [(1, 1, 1), (5, 33, 47), (16, 64, 64)])
def test_pools_round_up_for_any_size(size):
    model = C3DLite(**{**SMALL, 'input_size': size}, in_channels=2)
    assert model(torch.randn(2, 2, *size)).shape == (2, 32)


@pytest.mark.parametrize(
    'shape', [(3, 8, 20, 29), (3, 16, 20, 28), (2, 8, 20, 28), (8, 20, 28)]
)
def test_an_input_that_does_not_fit_names_both_sizes(shape):
    with pytest.raises(ValueError) as error:
        C3DLite(**SMALL)(torch.zeros(1, *shape))
    assert '(3, 8, 20, 28)' in str(error.value)
    assert str(shape) in str(error.value)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match='conv_channels'):
        C3DLite(conv_channels=(4, 4))
    with pytest.raises(ValueError, match='input_size'):
        C3DLite(input_size=(112, 112))


def test_dropout_follows_both_fc_layers():
    model = C3DLite(**SMALL, dropout_ratio=1.0)
    out = model(torch.randn(1, 3, 8, 20, 28))
    assert not out.any()
    assert model.dropout.p == 1 and C3DLite(**SMALL).dropout.p == 0.05


def test_signal_survives_the_default_initialisation():
    model = C3DLite(fc_channels=256, input_size=(8, 32, 32)).eval()
    model.init_weights()
    with torch.no_grad():
        out = model(torch.randn(4, 3, 8, 32, 32))
    assert 0.2 < out.square().mean().sqrt() < 5


def test_channels_last_is_the_same_network():
    options = dict(conv_channels=(4, 8, 8, 8, 8), fc_channels=16)
    options['input_size'] = (8, 24, 20)
    plain = C3DLite(**options).eval()
    last = C3DLite(**options, channels_last=True).eval()
    plain.init_weights()
    last.load_state_dict(plain.state_dict())
    assert last.conv2.weight.is_contiguous(
        memory_format=torch.channels_last_3d
    )
    x = torch.randn(3, 3, 8, 24, 20)
    torch.testing.assert_close(last(x), plain(x))
    last(x).square().sum().backward()
    plain(x).square().sum().backward()
    for ours, theirs in zip(last.parameters(), plain.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_it_learns_a_few_clips_by_heart():
    model = recognizer()
    model.init_weights()
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    scenes = torch.randn(3, 3, 1, 20, 28)
    clips = scenes[labels] + 0.5 * torch.randn(6, 3, 8, 20, 28)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(80):
        scores = model.cls_head(model.backbone(clips))
        loss = torch.nn.functional.cross_entropy(scores, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


@pytest.mark.parametrize('source', ['recognizer', 'backbone'])
def test_convolutions_of_a_checkpoint(tmp_path, source):
    trained = recognizer(fc_channels=16) if source == 'recognizer' else None
    trained = trained or C3DLite(**SMALL)
    path = str(tmp_path / 'trained.pth')
    # As the runner saves it: with more than tensors in it.
    save_checkpoint(
        dict(
            meta=dict(epoch=3),
            state_dict=trained.state_dict(),
            message_hub=dict(log_scalars={'loss': HistoryBuffer([1.0], [1])}),
        ),
        path,
    )
    model = recognizer(pretrained_convs=path)
    model.init_weights()
    ours = model.backbone.state_dict()
    theirs = getattr(trained, 'backbone', trained).state_dict()
    for name, value in ours.items():
        if 'conv' in name:
            assert torch.equal(value, theirs[name])
        elif 'weight' in name:
            assert value.shape != theirs[name].shape or not torch.equal(
                value, theirs[name]
            )


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.skipif(
    not reads_weights_only(),
    reason='torch.load runs what a checkpoint says',
)
def test_what_a_checkpoint_says_is_not_run(tmp_path):
    marker, path = tmp_path / 'marker', str(tmp_path / 'crafted.pth')
    torch.save(dict(state_dict=Payload(str(marker))), path)
    model = C3DLite(**SMALL, pretrained_convs=path)
    with pytest.raises(pickle.UnpicklingError):
        model.init_weights()
    assert not marker.exists()


def test_convolutions_that_cannot_be_loaded(tmp_path):
    path = str(tmp_path / 'other.pth')
    model = C3DLite(**SMALL, pretrained_convs=path)
    with pytest.raises(FileNotFoundError, match=r'other\.pth'):
        model.init_weights()

    state = C3DLite(**SMALL).state_dict()
    for content, match in (
        ({'state_dict': {'layer.weight': torch.zeros(1)}}, 'conv1.weight'),
        ({k: v for k, v in state.items() if 'conv4' not in k}, 'conv4.weight'),
        ({**state, 'conv2.weight': torch.zeros(4, 1, 3, 3, 3)}, 'shape'),
        ([1], 'no checkpoint'),
    ):
        torch.save(content, path)
        before = model.conv1.weight.clone()
        with pytest.raises(ValueError, match=match):
            model.init_weights()
        assert torch.equal(model.conv1.weight, before)


def test_mmengine_initialises_from_a_whole_backbone(tmp_path):
    trained = recognizer()
    path = str(tmp_path / 'trained.pth')
    save_checkpoint(dict(state_dict=trained.state_dict()), path)
    init_cfg = dict(type='Pretrained', checkpoint=path, prefix='backbone.')
    model = C3DLite(**SMALL, init_cfg=init_cfg)
    model.init_weights()
    for name, value in model.state_dict().items():
        assert torch.equal(value, trained.backbone.state_dict()[name])


@pytest.mark.parametrize('frozen', [0, 2, 5, 7])
def test_frozen_stages_keep_their_weights(frozen, tmp_path):
    whole = recognizer(dropout_ratio=0)
    save_checkpoint(
        dict(state_dict=whole.state_dict()), str(tmp_path / 'a.pth')
    )
    model = recognizer(
        dropout_ratio=0,
        frozen_stages=frozen,
        pretrained_convs=str(tmp_path / 'a.pth'),
    )
    model.init_weights()
    for layer in ('fc6', 'fc7'):
        ours = getattr(model.backbone, layer).state_dict()
        getattr(whole.backbone, layer).load_state_dict(ours)
    whole.cls_head.load_state_dict(model.cls_head.state_dict())
    clips = torch.randn(3, 3, 8, 20, 28)
    grads = []
    for one in (model.train(), whole.train()):
        scores = one.cls_head(one.backbone(clips))
        scores[:, 0].sum().backward()
        grads.append({k: p.grad for k, p in one.named_parameters()})
    layers = ['conv1', 'conv2', 'conv3', 'conv4', 'conv5', 'fc6', 'fc7']
    for name, grad in grads[0].items():
        kept = any(f'backbone.{layer}.' in name for layer in layers[:frozen])
        assert (grad is None) == kept
        if not kept:
            torch.testing.assert_close(grad, grads[1][name])
    before = {k: v.clone() for k, v in model.state_dict().items()}
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1))
    wrapper.step()
    after = model.state_dict()
    changed = {name for name in after if (after[name] != before[name]).any()}
    assert not any(f'.{x}.' in k for x in layers[:frozen] for k in changed)
    assert all(f'backbone.{x}.weight' in changed for x in layers[frozen:])


@pytest.mark.parametrize('frozen', [-1, 8, 2.5, None])
def test_frozen_stages_are_checked(frozen):
    with pytest.raises(ValueError, match=f'0 .none. to 7 .*got {frozen}'):
        C3DLite(**SMALL, frozen_stages=frozen)

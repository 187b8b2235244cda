"""The class layer of each stock head, and what it is given."""

import pytest
import torch
from small_heads import HEADS, build
from torch import nn

from vll_mmaction.models.heads.class_layer import (
    NO_CLASS_LAYER,
    ClassLayerInput,
    class_layer,
)

SERVED = [name for name in HEADS if name not in NO_CLASS_LAYER]


@pytest.mark.parametrize('twin', ['', 'VideoLevel'])
@pytest.mark.parametrize('name', SERVED)
def test_the_class_layer_makes_the_logits_of_the_features(name, twin):
    head = build(f'{twin}{name}').train()
    _, features, kwargs = HEADS[name]
    with ClassLayerInput(head) as given:
        # In two parts, as max_testing_views does.
        logits = [head(features(n), **kwargs) for n in (3, 2)]
    taken = given.take(5)
    assert taken.requires_grad == (name == 'X3DHead')
    torch.testing.assert_close(class_layer(head)(taken), torch.cat(logits))
    assert not class_layer(head)._forward_pre_hooks
    with pytest.raises(ValueError, match='did not call its class layer'):
        given.take(5)


@pytest.mark.parametrize('name', sorted({*HEADS} - {*SERVED}))
def test_heads_without_such_a_layer_are_refused(name):
    reason = NO_CLASS_LAYER[name]
    for head in (build(name), build(f'VideoLevel{name}')):
        with pytest.raises(ValueError, match=f'{name} has no .*{reason}'):
            ClassLayerInput(head)


def test_rows_that_are_no_clips():
    head = build('I3DHead')
    with ClassLayerInput(head) as given:
        head(HEADS['I3DHead'][1](5))
    with pytest.raises(ValueError, match=r'shape \(5, 8\) for 3 clips'):
        given.take(3)


def test_full_convolution_is_refused():
    head = build('TPNHead').eval()
    with ClassLayerInput(head) as given, torch.no_grad():
        head(HEADS['TPNHead'][1](2), fcn_test=True)
    with pytest.raises(ValueError, match='leave fcn_test out of test_cfg'):
        given.take(2)


def test_a_head_whose_layers_are_no_class_layer():
    head = build('I3DHead')
    head.fc_cls = nn.Sequential(nn.Linear(8, 4))
    with pytest.raises(ValueError, match='none of its layers is linear'):
        class_layer(head)
    head.fc_cls = nn.Linear(8, 5)
    with pytest.raises(ValueError, match='none of its layers is linear'):
        class_layer(head)

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from vll_mmaction.models.backbones.disjoint_pool import DisjointMaxPool3d


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


class WhereRefused(TorchDispatchMode):
    """Notes whether the kernel that CUDA refuses would be refused."""

    refused = None

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if 'max_pool3d_with_indices_backward' in str(func):
            self.refused = torch.are_deterministic_algorithms_enabled()
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('kernel', [2, (1, 2, 2)])
@pytest.mark.parametrize(
    'layout', [torch.contiguous_format, torch.channels_last_3d]
)
def test_values_and_gradients_are_those_of_the_stock_pool(
    deterministic, kernel, layout
):
    x = torch.randn(2, 3, 5, 7, 4).relu().to(memory_format=layout)
    found, expected = (x.clone().requires_grad_() for _ in range(2))
    weights = torch.randn(3, 1, 1, 1)
    with WhereRefused() as seen:
        (DisjointMaxPool3d(kernel)(found) * weights).sum().backward()
    assert seen.refused is False
    assert torch.are_deterministic_algorithms_enabled()
    stock = nn.MaxPool3d(kernel, ceil_mode=True)
    with WhereRefused() as seen:
        (stock(expected) * weights).sum().backward()
    assert seen.refused is True
    assert torch.equal(found.grad, expected.grad)


def test_warnings_stay_warnings(deterministic):
    torch.use_deterministic_algorithms(True, warn_only=True)
    x = torch.randn(1, 1, 2, 2, 2, requires_grad=True)
    DisjointMaxPool3d(2)(x).sum().backward()
    assert torch.is_deterministic_algorithms_warn_only_enabled()

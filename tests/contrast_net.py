"""A network that a clip without contrast breaks, for tests."""

import torch
from mmaction.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module(force=True)
class ContrastNet(nn.Module):
    """Colours of a clip by its contrast, (N, 3): 0 / 0 if it is black."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.amin(dim=(2, 3, 4), keepdim=True)
        x = x / x.flatten(1).std(dim=1)[:, None, None, None, None]
        return x.mean(dim=(2, 3, 4)) * self.weight

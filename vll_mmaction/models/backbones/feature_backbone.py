"""A backbone for features that another backbone made before."""

from typing import Optional

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn


@MODELS.register_module()
class FeatureBackbone(BaseModule):
    """Passes features of clips on, or through one hidden layer.

    To be followed by a head without pooling (``spatial_type=None``).

    Args:
        in_channels (int): Numbers in a feature.
        hidden_channels (int, optional): Width of the hidden layer, linear
            and ReLU. None leaves the features as they are. Defaults to None.
        dropout_ratio (float): Of the features, before the hidden layer.
            Defaults to 0.
        init_cfg (dict, optional): Defaults to None.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Optional[int] = None,
        dropout_ratio: float = 0,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = in_channels
        self.out_channels = hidden_channels or in_channels
        self.layers = nn.Sequential()
        if hidden_channels is not None:
            self.layers = nn.Sequential(
                nn.Dropout(dropout_ratio),
                nn.Linear(in_channels, hidden_channels),
                nn.ReLU(),
            )
        # Goes into the checkpoint: which features the model was trained on.
        # Byte by byte: SyncBuffersHook takes the mean over ranks, by floats.
        self.register_buffer('source', torch.zeros(8, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Features for the head.

        Args:
            x (Tensor): Features of clips, (N, in_channels).

        Returns:
            Tensor: (N, out_channels).
        """
        return self.layers(x)

"""C3D-lite, the five-convolution 3D network of Shi et al. 2020."""

import math
import os.path as osp
from collections.abc import Sequence
from typing import Optional, Union

import torch
from mmaction.registry import MODELS
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...compat import reads_weights_only
from .disjoint_pool import DisjointMaxPool3d


@MODELS.register_module()
class C3DLite(BaseModule):
    """Five 3×3×3 convolutions, each with a max-pool, then fc6 and fc7.

    Shi et al. 2020, Section 3.2 and Fig. 3. The first pool halves height and
    width only, the others time too, all rounding up, so that a clip
    (3, 16, 112, 112) ends at (256, 1, 4, 4). ReLU follows each layer, dropout
    each of fc6 and fc7. The class layer is the head's.

    The released code of the paper draws the convolutions from N(0, 0.01) and
    fc6, fc7 from N(0, 0.005) with bias 1, for raw 0-255 input. The default
    here, Kaiming for all layers, suits normalised input.

    Args:
        fc_channels (int): Width of fc6 and fc7. Defaults to 4096.
        dropout_ratio (float): Defaults to 0.05.
        conv_channels (Sequence[int]): Channels of conv1 to conv5. Defaults to
            (64, 128, 256, 256, 256).
        input_size (Sequence[int]): Frames, height and width of a clip, which
            set the width of fc6. Defaults to (16, 112, 112).
        in_channels (int): Channels of a frame. Defaults to 3.
        pretrained_convs (str, optional): Checkpoint file of a recognizer with
            this backbone, or of this backbone, whose convolutions to start
            from; fc6 and fc7 start anew. Read in ``init_weights``. Defaults
            to None.
        channels_last (bool): Keep the channels of a voxel side by side
            (``torch.channels_last_3d``), which rounds differently and is
            about twice as fast on a CPU. Defaults to False.
        frozen_stages (int): How many of the layers, from conv1 on, keep
            their weights: 5 are the convolutions, 7 all. Defaults to 0.
        init_cfg (dict | list[dict], optional): Defaults to Kaiming.

    Raises:
        ValueError: ``conv_channels`` or ``input_size`` has a wrong length, or
            ``frozen_stages`` is not from 0 to 7.
    """

    def __init__(
        self,
        fc_channels: int = 4096,
        dropout_ratio: float = 0.05,
        conv_channels: Sequence[int] = (64, 128, 256, 256, 256),
        input_size: Sequence[int] = (16, 112, 112),
        in_channels: int = 3,
        pretrained_convs: Optional[str] = None,
        channels_last: bool = False,
        frozen_stages: int = 0,
        init_cfg: Union[dict, list, None] = dict(  # noqa: B006
            type='Kaiming', layer=['Conv3d', 'Linear'], mode='fan_in'
        ),
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(conv_channels) != 5:
            raise ValueError(
                f'conv_channels must be five, but got {conv_channels}'
            )
        if len(input_size) != 3 or min(input_size) < 1:
            raise ValueError(
                'input_size must be frames, height and width, but got '
                f'{input_size}'
            )
        self.input_shape = (in_channels, *input_size)
        self.pretrained_convs = pretrained_convs

        frames, height, width = input_size
        for i, channels in enumerate(conv_channels, start=1):
            conv = nn.Conv3d(in_channels, channels, kernel_size=3, padding=1)
            self.add_module(f'conv{i}', conv)
            in_channels = channels
            # A pool that rounds up leaves ceil(n / 2) of n.
            frames = frames if i == 1 else math.ceil(frames / 2)
            height, width = math.ceil(height / 2), math.ceil(width / 2)
        self.pool1 = DisjointMaxPool3d((1, 2, 2))
        self.pool = DisjointMaxPool3d(2)
        features = in_channels * frames * height * width
        self.fc6 = nn.Linear(features, fc_channels)
        self.fc7 = nn.Linear(fc_channels, fc_channels)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout_ratio)
        layers = (*(f'conv{i}' for i in range(1, 6)), 'fc6', 'fc7')
        if frozen_stages not in range(len(layers) + 1):
            raise ValueError(
                f'frozen_stages must be from 0 (none) to {len(layers)} (all '
                f'of {", ".join(layers)}), but got {frozen_stages}'
            )
        for name in layers[:frozen_stages]:
            self.get_submodule(name).requires_grad_(False)
        if channels_last:
            # Convolutions follow their weights, pools their input.
            self.to(memory_format=torch.channels_last_3d)

    def forward(self, x: Tensor) -> Tensor:
        """Features of clips.

        Args:
            x (Tensor): Normalised clips, (N, C, T, H, W) floating point with
                (T, H, W) as ``input_size``.

        Returns:
            Tensor: (N, fc_channels).

        Raises:
            ValueError: The clips are of another size.
        """
        if tuple(x.shape[1:]) != self.input_shape:
            raise ValueError(
                f'C3DLite is built for clips of shape {self.input_shape} '
                f'(C, T, H, W), but got {tuple(x.shape[1:])}: set its '
                'input_size, or the clip length and crop of the pipeline'
            )
        x = self.pool1(self.relu(self.conv1(x)))
        for conv in (self.conv2, self.conv3, self.conv4, self.conv5):
            x = self.pool(self.relu(conv(x)))
        x = x.flatten(start_dim=1)
        x = self.dropout(self.relu(self.fc6(x)))
        return self.dropout(self.relu(self.fc7(x)))

    def init_weights(self) -> None:
        """Initialise, then load the convolutions of ``pretrained_convs``.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It lacks a convolution, or one of another shape.
        """
        super().init_weights()
        if self.pretrained_convs is not None:
            self._load_convs(self.pretrained_convs)

    def _load_convs(self, path: str) -> None:
        # MMEngine's Pretrained initialiser takes fc6 and fc7 along and only
        # logs what doesn't fit: a run meant as fine-tuning would go on from
        # scratch.
        if not osp.isfile(path):
            raise FileNotFoundError(f'pretrained_convs: no file {path!r}')
        loaded = torch.load(
            path, map_location='cpu', weights_only=reads_weights_only()
        )
        if not isinstance(loaded, dict):
            raise ValueError(f'pretrained_convs: {path!r} is no checkpoint')
        loaded = loaded.get('state_dict', loaded)
        prefix = 'backbone.' if 'backbone.conv1.weight' in loaded else ''
        own = {k: v for k, v in self.state_dict().items() if 'conv' in k}
        for name, value in own.items():
            source = loaded.get(prefix + name)
            if source is None:
                raise ValueError(
                    f'pretrained_convs: {path!r} lacks the C3DLite '
                    f'convolution {prefix + name!r}; it holds '
                    f'{", ".join(list(loaded)[:3])}, ...'
                )
            if source.shape != value.shape:
                raise ValueError(
                    f'pretrained_convs: {prefix + name!r} in {path!r} has '
                    f'shape {tuple(source.shape)}, but C3DLite wants '
                    f'{tuple(value.shape)}'
                )
        for name, value in own.items():
            # state_dict shares its storage with the parameters.
            value.copy_(loaded[prefix + name])
        print_log(f'C3DLite convolutions loaded from {path}', 'current')

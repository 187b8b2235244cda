"""The class layer of a head, and the feature of a clip, which is its input."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

NO_CLASS_LAYER = dict(
    FeatureHead='it extracts features and has no classes',
    OmniHead='it has one class layer for images and another for videos',
    RGBPoseHead='it scores two modalities apart',
    TRNHead='its logits are sums over sets of frames, by several layers each',
)
"""Stock heads without a linear class layer on one feature a clip, and why."""


def class_layer(head: nn.Module) -> nn.Linear:
    """The layer of a classification head whose output are the logits.

    Args:
        head (nn.Module): A head of MMAction2, or one of a user's own whose
            last linear layer to have ``num_classes`` outputs is that layer.

    Returns:
        nn.Linear: The layer, a child of the head.

    Raises:
        ValueError: The head has no linear class layer on one feature a clip.

    Example:
        >>> from mmaction.models import I3DHead
        >>> class_layer(I3DHead(num_classes=4, in_channels=8))
        Linear(in_features=8, out_features=4, bias=True)
    """
    name = type(head).__name__
    reasons = [NO_CLASS_LAYER.get(x.__name__) for x in type(head).__mro__]
    reason = next(filter(None, reasons), None)
    layers = [
        layer
        for layer in head.children()
        if isinstance(layer, nn.Linear)
        and layer.out_features == head.num_classes
    ]
    if reason is None and not layers:
        reason = 'none of its layers is linear and gives num_classes logits'
    if reason is not None:
        raise ValueError(
            f'{name} has no linear class layer on one feature a clip: {reason}'
        )
    return layers[-1]


class ClassLayerInput(AbstractContextManager):
    """Keeps what the class layer of a head is given, in a ``with`` statement.

    The head may be called several times within, for some clips each. Dropout
    of the head, which comes before the class layer, is in the features.

    Args:
        head (nn.Module): See :func:`class_layer`.

    Raises:
        ValueError: As of :func:`class_layer`.

    Example:
        >>> from mmaction.models import I3DHead
        >>> head = I3DHead(num_classes=4, in_channels=8).eval()
        >>> with ClassLayerInput(head) as given:
        ...     logits = head(torch.randn(3, 8, 2, 7, 7))
        >>> features = given.take(num_clips=3)
        >>> features.shape
        torch.Size([3, 8])
        >>> torch.equal(head.fc_cls(features), logits)
        True
    """

    def __init__(self, head: nn.Module) -> None:
        self._name = type(head).__name__
        self._layer = class_layer(head)
        self._kept: list[Tensor] = []

    def __enter__(self) -> 'ClassLayerInput':
        kept = self._kept  # to name self would keep its tensors in a cycle
        self._handle = self._layer.register_forward_pre_hook(
            lambda layer, inputs: kept.append(inputs[0])
        )
        return self

    def __exit__(self, *error: Any) -> None:
        self._handle.remove()

    def take(self, num_clips: int) -> Tensor:
        """Features since the last call, one a clip; forgets them.

        Args:
            num_clips (int): Clips that the head has scored since.

        Returns:
            Tensor: (num_clips, D). Where a head scores each frame and takes
            the mean (TSM), the mean over the frames: the class layer being
            linear, it gives this the clip's logits, too.

        Raises:
            ValueError: The class layer was not called, or its inputs cannot
                be dealt to the clips.
        """
        if not self._kept:
            raise ValueError(
                f'{self._name} did not call its class layer. TPNHead does so '
                'with fcn_test=True, where a convolution takes its place: '
                'leave fcn_test out of test_cfg'
            )
        rows = torch.cat(self._kept)
        self._kept.clear()
        if rows.dim() != 2 or len(rows) % num_clips:
            raise ValueError(
                f'the class layer of {self._name} was given a tensor of shape '
                f'{tuple(rows.shape)} for {num_clips} clips, which is not '
                'one feature (or several of equal number) a clip'
            )
        return rows.view(num_clips, -1, rows.shape[1]).mean(dim=1)

"""From uint8 clips to normalised batches, without a copy too many."""

from collections.abc import Sequence
from typing import Any, Optional, Union

import torch
from mmaction.models import ActionDataPreprocessor
from mmaction.registry import MODELS
from mmengine.model import stack_batch
from torch import Tensor

from vll_mmaction.structures import DataSamples


@MODELS.register_module()
class ClipDataPreprocessor(ActionDataPreprocessor):
    """``ActionDataPreprocessor`` that normalises in place.

    The result is the same to the last bit, but stock holds all clips of a
    batch twice as floats for a moment, and waits while each clip is copied to
    the GPU. Here clips of a data loader with ``pin_memory=True`` are copied
    while the host goes on. Arguments are those of stock.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Read by MMEngine's `cast_data`; stock has no argument for it.
        self._non_blocking = True

    def preprocess(
        self,
        inputs: Union[Tensor, Sequence[Tensor]],
        data_samples: Optional[DataSamples],
        training: bool = False,
    ) -> tuple[Tensor, Optional[DataSamples]]:
        """Stack clips and normalise them.

        Args:
            inputs (Tensor | Sequence[Tensor]): N samples, uint8 or floating
                point, of ``clip_collate`` or of stock's collate.
            data_samples (ClipSamples | Sequence[ActionDataSample], optional):
                Theirs.
            training (bool): Whether to blend clips, where the config says so.
                Defaults to False.

        Returns:
            tuple: The batch, (N, ...) float32, and the data samples.
        """
        if (
            not self._enable_normalize
            or self.to_rgb
            or self.format_shape == 'MIX2d3d'
            or (training and self.blending is not None)
        ):
            samples = None if data_samples is None else list(data_samples)
            return super().preprocess(list(inputs), samples, training)
        if isinstance(inputs, Tensor):
            batch = inputs.to(torch.float32, copy=True)
        else:
            batch = stack_batch(list(inputs)).float()
        return batch.sub_(self.mean).div_(self.std), data_samples


class LateDataPreprocessor(ClipDataPreprocessor):
    """``ClipDataPreprocessor`` that leaves training clips as they come.

    As floats all clips of a video would take four times the memory. The
    recognizer hands them to ``preprocess`` part by part.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move a batch to the device; normalise it unless in training.

        Args:
            data (dict): ``inputs``, a tensor or a list of tensors, and
                ``data_samples``.
            training (bool): Defaults to False.

        Returns:
            dict: In training ``inputs`` is a list, of its own dtype.
        """
        if training:
            data = self.cast_data(data)
            return dict(data, inputs=list(data['inputs']))
        return super().forward(data, training)

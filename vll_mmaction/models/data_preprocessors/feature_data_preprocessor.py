"""From features of clips to a batch."""

import torch
from mmaction.registry import MODELS
from mmengine.model import BaseDataPreprocessor


@MODELS.register_module()
class FeatureDataPreprocessor(BaseDataPreprocessor):
    """Stacks features as float32 and moves them to the device.

    Data samples stay where they are, since heads fetch the labels; to move
    each one takes longer than all else of a step.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Make a batch.

        Args:
            data (dict): ``inputs``, N tensors (1, D), or (m, D) in testing,
                and ``data_samples``.
            training (bool): Not used. Defaults to False.

        Returns:
            dict: ``inputs``, (N, 1, D) or (N, m, D) float32, and
            ``data_samples``.
        """
        inputs = torch.stack(list(data['inputs']))
        inputs = inputs.to(self.device, non_blocking=True).float()
        return dict(inputs=inputs, data_samples=data['data_samples'])

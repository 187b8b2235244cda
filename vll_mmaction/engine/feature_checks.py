"""Whether features fit the model: what :class:`ConfigCheckHook` asks of them.

As in ``config_checks.py``, a ValueError names the keys of the config, their
values, and what to write instead.
"""

from typing import Any

import torch
from torch import nn

from vll_mmaction.datasets import ClipFeatureDataset
from vll_mmaction.models import FeatureBackbone

from .run_parts import dataset_parts


def gives_features(dataset: Any) -> bool:
    """Whether a dataset, or one inside a wrapper, gives features."""
    parts = dataset_parts(dataset)
    return any(isinstance(part, ClipFeatureDataset) for part in parts)


def check_features(model: nn.Module, dataset: Any) -> None:
    """See that features are of the backbone that the model knows, and finite.

    A model without weights of its own learns which these are.
    """
    backbone = getattr(model, 'backbone', None)
    for part in dataset_parts(dataset):
        features = isinstance(part, ClipFeatureDataset)
        if features != isinstance(backbone, FeatureBackbone):
            raise ValueError(
                "dataset.type='ClipFeatureDataset' and model.backbone.type="
                "'FeatureBackbone' go together, but these are "
                f"'{type(part).__name__}' ({getattr(part, 'ann_file', '')}) "
                f"and '{type(backbone).__name__}'."
            )
        if not isinstance(backbone, FeatureBackbone):
            continue
        if part.feature_dim != backbone.in_channels:
            raise ValueError(
                f'model.backbone.in_channels={backbone.in_channels}, but the '
                f'features {part.store.path} have {part.feature_dim} numbers '
                f'(network {part.store.about["config"]}): write in_channels='
                f'{part.feature_dim}, or name the features of the right '
                'network.'
            )
        source = torch.tensor(list(bytes.fromhex(part.source)))
        known = backbone.source.cpu()
        if known.any() and not known.equal(source):
            raise ValueError(
                f'The features {part.store.path} (network '
                f'{part.store.about["config"]}, weights '
                f'{part.store.about["weights"]}) are of another network than '
                'those that the model is trained on: write the features of '
                'all videos with one config and one checkpoint.'
            )
        backbone.source.copy_(source)
        if not part.test_mode:
            part.check_finite()

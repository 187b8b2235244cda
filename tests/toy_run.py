"""A run of MMEngine's Runner on the CPU that takes a second, for tests.

Importing it registers the toy parts, so a config can name them too.
"""

import itertools

import numpy as np
import torch
from mmaction.registry import DATASETS, METRICS, MODELS
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

_run_numbers = itertools.count()


@DATASETS.register_module()
class ToyDataset(torch.utils.data.Dataset):
    """Eight points, two classes."""

    metainfo = dict(classes=('left', 'right'))

    def __len__(self):
        return 8

    def __getitem__(self, index):
        point = torch.full((4,), float(index % 2)) + index / 10
        return dict(inputs=point, label=index % 2)


@MODELS.register_module()
class ToyModel(BaseModel):
    """A linear layer behind a dropout."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.linear = nn.Linear(4, 2)

    def forward(self, inputs, label, mode='tensor'):
        score = self.linear(self.dropout(inputs))
        if mode == 'loss':
            return dict(loss=nn.functional.cross_entropy(score, label))
        return [dict(right=row) for row in score.argmax(1) == label]


@METRICS.register_module()
class ToyMetric(BaseMetric):
    """Better each time, so that every epoch has a new best checkpoint."""

    times = 0

    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        self.times += 1
        return dict(acc=np.float32(self.times))


def toy_config(work_dir, max_epochs=2, checkpoint=None, **others):
    """Config of a toy run that does all that goes into a checkpoint."""
    loader = dict(
        dataset=dict(type='ToyDataset'),
        batch_size=2,
        num_workers=0,
        collate_fn=dict(type='default_collate'),
    )
    evaluate = dict(
        dataloader=dict(loader, sampler=dict(type='DefaultSampler')),
        evaluator=dict(type='ToyMetric'),
    )
    config = dict(
        custom_imports=dict(
            imports=['vll_mmaction', 'toy_run'], allow_failed_imports=False
        ),
        default_scope='mmaction',
        # Runs of the same name in one process would share a message hub.
        experiment_name=f'toy_{next(_run_numbers)}',
        work_dir=str(work_dir),
        model=dict(type='ToyModel'),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        train_dataloader=dict(
            loader, sampler=dict(type='DefaultSampler', shuffle=True)
        ),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
        ),
        param_scheduler=[
            dict(type='LinearLR', begin=0, end=1, convert_to_iter_based=True),
            dict(type='CosineAnnealingLR', T_max=4),
        ],
        default_hooks=dict(
            checkpoint={
                'type': 'AtomicCheckpointHook',
                'interval': 1,
                'max_keep_ckpts': 1,
                'save_best': 'acc',
                **(checkpoint or {}),
            },
            logger=dict(type='LoggerHook', interval=1),
        ),
        custom_hooks=[dict(type='EMAHook'), dict(type='IterSeedHook')],
        randomness=dict(seed=3),
        log_level='WARNING',
    )
    for stage in ('val', 'test'):
        config[f'{stage}_cfg'] = dict()
        for part, value in evaluate.items():
            config[f'{stage}_{part}'] = value
    return dict(config, **others)


def toy_runner(*args, **kwargs):
    """A Runner of the toy config."""
    return Runner.from_cfg(Config(toy_config(*args, **kwargs)))

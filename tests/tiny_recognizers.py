"""Recognizers of a few parameters, batches for them, and steps on these."""

import copy
import os

import numpy as np
import torch
import torch.nn.functional as F
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import nn

MEAN, STD = [120.0, 110.0, 100.0], [58.0, 57.0, 56.0]


@MODELS.register_module()
class TinyNet3D(nn.Module):
    """A convolution, dropout and perhaps a norm: (N, 8, 2, 3, 3)."""

    def __init__(self, norm=None, norm_eval=False, dropout=0.3):
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 3, stride=2, padding=1)
        self.norm = norm(8) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.norm_eval = norm_eval
        self.seen = []

    def train(self, mode=True):
        super().train(mode)
        if self.norm_eval:
            self.norm.eval()
        return self

    def forward(self, x):
        self.seen.append(len(x))
        x = self.dropout(self.norm(self.conv(x)).relu())
        return F.adaptive_avg_pool3d(x, (2, 3, 3))


@MODELS.register_module()
class TinyNet2D(nn.Module):
    """Two features a frame that know the frame's brightness."""

    def __init__(self, **kwargs):
        super().__init__()
        vars(self).update(kwargs)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return self.conv(x).relu()


@MODELS.register_module()
class TinyNeck(nn.Module):
    """A neck with a loss of its own, mean over the clips."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 4)

    def forward(self, x, data_samples=None):
        loss_aux = {}
        if data_samples is not None:
            label = torch.cat([sample.gt_label for sample in data_samples])
            score = self.fc(x.mean((2, 3, 4)))
            loss_aux = dict(loss_aux=F.cross_entropy(score, label))
        return x, loss_aux


def build(
    views=None, *, two_d=False, backbone=None, head=None, test_cfg=None, **kw
):
    name = '2D' if two_d else '3D'
    if test_cfg is None and two_d:
        test_cfg = dict(num_segs=2)
    config = dict(
        type=f'VideoLevelRecognizer{name}',
        backbone={'type': f'TinyNet{name}', **(backbone or {})},
        cls_head={
            'type': f'VideoLevel{"TSN" if two_d else "I3D"}Head',
            'num_classes': 4,
            'in_channels': 8,
            'loss_cls': dict(type='VideoLevelLoss'),
            'average_clips': 'vote',
            **(head or {}),
        },
        data_preprocessor=dict(
            type='ActionDataPreprocessor',
            mean=MEAN,
            std=STD,
            format_shape='NCHW' if two_d else 'NCTHW',
        ),
        train_cfg=views and dict(max_training_views=views),
        test_cfg=test_cfg,
    )
    return MODELS.build({**config, **kw})


def batch(counts=(5, 2), shape=(1, 3, 4, 6, 6), seed=0):
    """Clips of several videos as the dataset gives them."""
    rng = np.random.default_rng(seed)
    inputs, samples = [], []
    for video, count in enumerate(counts):
        for _ in range(count):
            inputs.append(torch.from_numpy(rng.integers(0, 256, shape)).byte())
            sample = ActionDataSample().set_gt_label(video % 4)
            sample.set_metainfo(dict(video_id=video))
            samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def losses_of(model, data):
    data = model.data_preprocessor(copy.deepcopy(data), True)
    return model(**data, mode='loss')


def gradients(model, data, autocast=None):
    """Losses and gradients of one step."""
    model.zero_grad()
    torch.manual_seed(1)
    np.random.seed(1)
    with torch.autocast('cpu', autocast, enabled=autocast is not None):
        losses = losses_of(model, data)
    model.parse_losses(losses)[0].backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters()}
    return {k: v.detach() for k, v in losses.items()}, grads


def keep_activations(monkeypatch):
    """From here on nothing is recomputed."""
    monkeypatch.setattr(
        'vll_mmaction.models.recognizers.recomputation.checkpoint',
        lambda run, *arguments, **_: run(*arguments),
    )


def saved_bytes(model, counts):
    """Bytes that the graph of a step holds beside clips and weights."""
    data = model.data_preprocessor(batch(counts), True)
    own = {p.data_ptr() for p in model.parameters()}
    own |= {x.data_ptr() for x in data['inputs']}
    held = {}

    def pack(x):
        if x.data_ptr() not in own:
            held[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        losses = model(**data, mode='loss')
    model.parse_losses(losses)[0].backward()
    return sum(held.values())


def step_of(model, data):
    """Take a step on a batch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.train_step(data, OptimWrapper(optimizer))


def steps_of_two_ranks(folder, make, data, first):
    """States of a model after a step of two processes on parts of a batch.

    Args:
        folder (pathlib.Path): For what the processes share.
        make (Callable): Makes the model; can be pickled.
        data (dict): The batch.
        first (int): Clips of the first process; the other has the rest.
    """
    torch.multiprocessing.start_processes(
        _train_rank,
        (folder, make, data, first),
        nprocs=2,
        start_method='spawn',
    )
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


def _train_rank(rank, folder, make, data, first):
    import vll_mmaction  # noqa: F401

    # Spawned: a fork of a process that has run a backward pass may hang.
    init_default_scope('mmaction')
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2
    )
    hub = MessageHub.get_instance('one of two ranks')
    hub.update_info_dict(dict(seed=5, iter=12))
    own = slice(first) if rank == 0 else slice(first, None)
    model = MMDistributedDataParallel(make())
    step_of(model, {name: values[own] for name, values in data.items()})
    torch.save(model.module.state_dict(), folder / f'{rank}.pth')
    torch.distributed.barrier()
    # Gloo's threads and the end of DDP may wait for each other for ever.
    os._exit(0)


def sample(num_clips):
    out = ActionDataSample().set_gt_label(1)
    out.set_metainfo(dict(num_clips=num_clips))
    return out

"""How much memory and time does a training step on m clips of a video take?

Each measurement is a process of its own: peak memory of the process (CPU) or
of the allocator (CUDA), less what the model and the clips take. Compared are

- plain: all clips at once, the rival,
- chunks: ``max_training_views`` of the recognizers,
- two passes: as GradCache does, a pass without gradients for the scores, the
  loss's gradient with respect to them, then chunk by chunk a second pass that
  takes it back.

    python tools/benchmarks/memory.py [--quick]
"""

import argparse
import json
import logging
import resource
import statistics
import subprocess
import sys
import time

import torch
from bench_common import machine, markdown, ratio
from mmaction.registry import MODELS
from mmaction.utils import register_all_modules

import vll_mmaction  # noqa: F401  (before mmaction.models)

WAYS = ('plain', 'chunks', 'two passes')
CHUNK = 4


def build(way: str, narrow: int) -> torch.nn.Module:
    """C3D-lite with its head, without dropout so that all ways are equal.

    Args:
        way (str): One of ``WAYS``.
        narrow (int): All layers have that many times fewer channels.

    Returns:
        nn.Module: The recognizer.
    """
    torch.manual_seed(0)
    width = 4096 // narrow
    model = MODELS.build(
        dict(
            type='VideoLevelRecognizer3D',
            backbone=dict(
                type='C3DLite',
                conv_channels=[c // narrow for c in (64, 128, 256, 256, 256)],
                fc_channels=width,
                dropout_ratio=0,
            ),
            cls_head=dict(
                type='VideoLevelI3DHead',
                num_classes=101,
                in_channels=width,
                spatial_type=None,
                dropout_ratio=0,
                loss_cls=dict(type='VideoLevelLoss'),
            ),
            data_preprocessor=dict(
                type='ActionDataPreprocessor',
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                format_shape='NCTHW',
            ),
            train_cfg=dict(max_training_views=CHUNK)
            if way == 'chunks'
            else None,
        )
    )
    model.init_weights()
    return model.train()


def step(model: torch.nn.Module, batch: dict, way: str) -> None:
    """Loss and gradients of one batch.

    Args:
        model (nn.Module): See :func:`build`.
        batch (dict): ``inputs``, a list of uint8 clips, ``data_samples``.
        way (str): One of ``WAYS``.
    """
    model.zero_grad()
    if way != 'two passes':
        data = model.data_preprocessor(dict(batch), training=True)
        losses = model.loss(**data)
        (losses['loss_ce'] + losses['loss_ccl']).backward()
        return
    inputs, samples = batch['inputs'], batch['data_samples']
    device = next(model.parameters()).device

    def score(start):
        part = [x.to(device) for x in inputs[start : start + CHUNK]]
        views, _ = model.data_preprocessor.preprocess(part, None)
        return model.cls_head(model.backbone(views.flatten(0, 1)))

    starts = range(0, len(inputs), CHUNK)
    with torch.no_grad():
        scores = torch.cat([score(start) for start in starts])
    scores.requires_grad_()
    losses = model.cls_head.loss_by_feat(scores, samples)
    (losses['loss_ce'] + losses['loss_ccl']).backward()
    for start in starts:
        score(start).backward(scores.grad[start : start + CHUNK])


def measure(way: str, clips: int, narrow: int, steps: int) -> None:
    """Print peak memory, time and a gradient of one way, as JSON."""
    from train_step import make_batch

    register_all_modules()
    logging.disable(logging.INFO)
    cuda = torch.cuda.is_available()
    device = torch.device('cuda' if cuda else 'cpu')
    model = build(way, narrow).to(device)
    batch = make_batch(1, clips)
    if cuda:
        before = torch.cuda.memory_allocated()
    else:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step(model, batch, way)
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    if cuda:
        peak = torch.cuda.max_memory_allocated()
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    gradient = model.backbone.conv1.weight.grad.norm().item()
    answer = dict(
        mib=(peak - before) / 2**20,
        seconds=statistics.median(seconds),
        gradient=gradient,
    )
    print(json.dumps(answer))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--one', nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure(args.one[0], *map(int, args.one[1:]))
        return
    narrow, steps, rounds = (8, 1, 1) if args.quick else (1, 3, 3)
    counts = (4, 16) if args.quick else (4, 16, 48)
    name = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else machine()
    )
    print(
        f'{name}; {torch.get_num_threads()} threads, 1/{narrow} of the '
        f'channels, chunks of {CHUNK} clips\n'
    )
    table = []
    for clips in counts:
        found = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                options = [way, *map(str, (clips, narrow, steps))]
                run = subprocess.run(
                    [
                        sys.executable,
                        '-W',
                        'ignore',
                        __file__,
                        '--one',
                        *options,
                    ],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                found[way].append(json.loads(run.stdout.splitlines()[-1]))
        plain = [row['seconds'] for row in found['plain']]
        for way, rows in found.items():
            slower = ratio([row['seconds'] for row in rows], plain)
            mib = statistics.median(row['mib'] for row in rows)
            cells = f'{mib:.0f}', f'{slower:.2f}', rows[0]['gradient']
            table.append((clips, way, *cells[:2], f'{cells[2]:.6g}'))
    header = 'clips', 'way', 'MiB', 'time against plain', 'gradient'
    print(markdown(header, table))


if __name__ == '__main__':
    main()

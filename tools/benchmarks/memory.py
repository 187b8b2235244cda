"""How much memory and time does a training step on m clips of a video take?

Memory: each figure is a process of its own; the peak of the process (CPU) or
of the allocator (CUDA) in a step, less what model, gradients and clips take.
On the CPU the C library is told to give freed tensors back at once, or else
the figure would be what it keeps for later.
Time: the ways take turns in one process, and a figure is the median of the
rounds' ratios to ``plain``. Compared are

- plain: all clips at once, the rival,
- chunks: ``max_training_views`` of the recognizers,
- two passes: as GradCache does, a pass without gradients for the scores, the
  loss's gradient with respect to them, then chunk by chunk a second pass that
  takes it back,
- with_cp: all clips at once, the stock backbone recomputing its blocks,

for C3D-lite and for MMAction2's SlowOnly-18 with ``norm_eval``.

    python tools/benchmarks/memory.py [--quick] [--flat]

``--flat`` is the short question for a GPU: does C3D-lite of full width stay
flat up to 500 clips?
"""

import argparse
import ctypes
import gc
import logging
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Optional

import torch
from bench_common import machine, markdown, ratio
from mmaction.registry import MODELS
from mmaction.utils import register_all_modules
from train_step import make_batch

import vll_mmaction  # noqa: F401  (before mmaction.models)

WAYS = {
    'C3D-lite': ('plain', 'chunks', 'two passes'),
    'SlowOnly-18': ('plain', 'chunks', 'two passes', 'with_cp'),
}
# Network, channels divided by, clips a chunk, numbers of clips.
SETTINGS = (
    ('C3D-lite', 8, 16, (16, 64, 500)),
    ('SlowOnly-18', 8, 16, (16, 64, 500)),
    ('C3D-lite', 1, 4, (4, 16, 500)),
)
QUICK = (
    ('C3D-lite', 8, 4, (4, 16)),
    ('SlowOnly-18', 8, 4, (4, 16)),
)
FLAT = {
    False: (('C3D-lite', 1, 16, (16, 64, 500)),),
    True: (('C3D-lite', 8, 2, (2, 6)),),
}
# More clips of full width are too much for ways that hold all of them.
MOST_AT_ONCE = 16


def build(network: str, way: str, narrow: int, chunk: int) -> torch.nn.Module:
    """A network with its head, without dropout: all ways are then equal.

    Args:
        network (str): One of ``WAYS``.
        way (str): One of its ways, or ``'half'``, the gradient through half
            of the clips.
        narrow (int): All layers have that many times fewer channels.
        chunk (int): Clips a chunk, where the way has chunks.

    Returns:
        nn.Module: The recognizer, in training mode.
    """
    torch.manual_seed(0)
    if network == 'C3D-lite':
        width = 4096 // narrow
        backbone = dict(
            type='C3DLite',
            conv_channels=[c // narrow for c in (64, 128, 256, 256, 256)],
            fc_channels=width,
            dropout_ratio=0,
        )
    else:
        width = 512 // narrow
        backbone = dict(
            type='ResNet3dSlowOnly',
            depth=18,
            pretrained=None,
            base_channels=64 // narrow,
            lateral=False,
            conv1_kernel=(1, 7, 7),
            inflate=(0, 0, 1, 1),
            norm_eval=True,
            with_cp=way == 'with_cp',
        )
    model = MODELS.build(
        dict(
            type='VideoLevelRecognizer3D',
            backbone=backbone,
            cls_head=dict(
                type='VideoLevelI3DHead',
                num_classes=101,
                in_channels=width,
                spatial_type=None if network == 'C3D-lite' else 'avg',
                dropout_ratio=0,
                loss_cls=dict(type='VideoLevelLoss'),
            ),
            data_preprocessor=dict(
                type='ActionDataPreprocessor',
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                format_shape='NCTHW',
            ),
            train_cfg=dict(
                chunks=dict(max_training_views=chunk),
                half=dict(backward_share=0.5),
            ).get(way),
        )
    )
    model.init_weights()
    model.train()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return model


def step(model: torch.nn.Module, batch: dict, way: str, chunk: int) -> None:
    """Loss and gradients of one batch.

    Args:
        model (nn.Module): See :func:`build`.
        batch (dict): ``inputs``, a list of uint8 clips, ``data_samples``, on
            the device of the model.
        way (str): See :func:`build`.
        chunk (int): Clips a chunk.
    """
    model.zero_grad(set_to_none=False)
    if way != 'two passes':
        data = model.data_preprocessor(dict(batch), training=True)
        losses = model.loss(**data)
        (losses['loss_ce'] + losses['loss_ccl']).backward()
        return
    inputs, samples = batch['inputs'], batch['data_samples']

    def score(start: int) -> torch.Tensor:
        part = inputs[start : start + chunk]
        views, _ = model.data_preprocessor.preprocess(part, None)
        return model.cls_head(model.backbone(views.flatten(0, 1)))

    starts = range(0, len(inputs), chunk)
    with torch.no_grad():
        scores = torch.cat([score(start) for start in starts])
    scores.requires_grad_()
    losses = model.cls_head.loss_by_feat(scores, samples)
    (losses['loss_ce'] + losses['loss_ccl']).backward()
    for start in starts:
        score(start).backward(scores.grad[start : start + chunk])


def status(name: str) -> Optional[int]:
    """Bytes of an entry of Linux' ``/proc/self/status``, or None."""
    try:
        with open('/proc/self/status', encoding='ascii') as file:
            for line in file:
                if line.startswith(f'{name}:'):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def reset_peak() -> int:
    """Forget the peak of memory so far.

    Returns:
        int: Bytes taken now; the peak so far where it cannot be forgotten.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    try:
        with open('/proc/self/clear_refs', 'w', encoding='ascii') as file:
            file.write('5')
    except OSError:
        return peak()
    return status('VmRSS') or peak()


def peak() -> int:
    """Bytes taken at most."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return status('VmHWM') or kib * 1024


def seconds() -> float:
    """Clock of the GPU's work, or of the processor's."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def gradient(model: torch.nn.Module) -> float:
    """Norm of all gradients."""
    norms = [p.grad.norm() for p in model.parameters()]
    return torch.stack(norms).norm().item()


def measure_memory(
    network: str, way: str, narrow: int, chunk: int, clips: int
) -> dict:
    """Memory of a step in this process.

    Args:
        network (str): See :func:`build`.
        way (str): See :func:`build`.
        narrow (int): See :func:`build`.
        chunk (int): See :func:`build`.
        clips (int): Clips of the video.

    Returns:
        dict: ``mib`` and ``gradient``, the norm of all gradients.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = build(network, way, narrow, chunk).to(device)
    # What libraries set up at their first use is no matter of clips. It takes
    # two chunks: a single one is not recomputed.
    cast = model.data_preprocessor.cast_data
    step(model, cast(make_batch(1, chunk + 1)), way, chunk)
    # On the device before the step, so that they are not counted.
    batch = cast(make_batch(1, clips))
    before = reset_peak()
    step(model, batch, way, chunk)
    mib = (peak() - before) / 2**20
    return dict(mib=mib, gradient=gradient(model))


def measure_time(
    network: str,
    narrow: int,
    chunk: int,
    clips: int,
    rounds: int,
    ways: Sequence[str],
) -> dict[str, float]:
    """Time of each way as a multiple of plain's.

    Args:
        network (str): See :func:`build`.
        narrow (int): See :func:`build`.
        chunk (int): See :func:`build`.
        clips (int): Clips of the video.
        rounds (int): Steps of each way, after one to warm up.
        ways (Sequence[str]): See ``WAYS``.

    Returns:
        dict[str, float]: Median ratio by way.
    """
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    models = {
        way: build(network, way, narrow, chunk).to(device) for way in ways
    }
    batch = models['plain'].data_preprocessor.cast_data(make_batch(1, clips))
    taken = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, model in models.items():
            start = seconds()
            step(model, batch, way, chunk)
            if number:
                taken[way].append(seconds() - start)
    return {way: ratio(times, taken['plain']) for way, times in taken.items()}


def apart(measure: Callable[..., dict], *arguments: object) -> dict:
    """Answer of a measurement made in a process of its own."""
    # A forked process cannot use CUDA.
    method = 'spawn' if torch.cuda.is_available() else 'fork'
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply(_measure, (measure, arguments))


def _return_freed_memory() -> None:
    """Have the C library give back what is freed, where it is glibc."""
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        mmap_threshold = -3  # M_MMAP_THRESHOLD of malloc.h
        mallopt(mmap_threshold, 2**16)


def _measure(measure: Callable[..., dict], arguments: tuple) -> dict:
    if measure is measure_memory:
        _return_freed_memory()
    torch.set_num_threads(1)
    register_all_modules()
    logging.disable(logging.INFO)
    warnings.simplefilter('ignore')
    return measure(*arguments)


def table(
    network: str,
    narrow: int,
    chunk: int,
    counts: tuple,
    rounds: int,
    ways: Sequence[str],
) -> list[list]:
    """Rows of a network: memory at each number of clips, time at the second.

    Args:
        network (str): See :func:`build`.
        narrow (int): See :func:`build`.
        chunk (int): See :func:`build`.
        counts (tuple[int]): Numbers of clips.
        rounds (int): See :func:`measure_time`.
        ways (Sequence[str]): See ``WAYS``.

    Returns:
        list[list]: A row a way.
    """
    setting = network, narrow, chunk
    times = apart(measure_time, *setting, counts[1], rounds, ways)
    rows = []
    for way in ways:
        held = way in ('plain', 'with_cp')
        cells = []
        for clips in counts:
            if held and clips > MOST_AT_ONCE * narrow:
                cells.append('-')
                continue
            found = apart(measure_memory, network, way, narrow, chunk, clips)
            cells.append(f'{found["mib"]:.0f}')
            if clips == counts[1]:
                norm = found['gradient']
        rows.append([way, *cells, f'{times[way]:.2f}', f'{norm:.5g}'])
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='a minute')
    parser.add_argument('--flat', action='store_true')
    parser.add_argument('--rounds', type=int, help='times each is timed')
    args = parser.parse_args()
    rounds = args.rounds or (1 if args.quick else 3)
    cuda = torch.cuda.is_available()
    print(torch.cuda.get_device_name() if cuda else machine(), flush=True)
    settings = QUICK if args.quick else SETTINGS
    for setting in FLAT[args.quick] if args.flat else settings:
        network, narrow, chunk, counts = setting
        ways = WAYS[network][:2] if args.flat else WAYS[network]
        print(
            f'\n{network}, channels / {narrow}, clips of 16x112x112, chunks '
            f'of {chunk}: MiB of a step beyond model, gradients and clips; '
            f'time and norm of the gradient at {counts[1]} clips\n'
        )
        rows = table(*setting, rounds, ways)
        header = ['way', *(f'{clips} clips' for clips in counts)]
        header += ['time against plain', 'gradient']
        print(markdown(header, rows), flush=True)


if __name__ == '__main__':
    main()

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
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import bench_common
import torch
from bench_common import interleaved, machine, markdown, megabytes, ratio
from mmaction.registry import MODELS
from mmaction.utils import register_all_modules
from train_step import DEVICE, make_batch, model_config, synchronised

import vll_mmaction  # noqa: F401  (before mmaction.models)

WAYS = {
    'C3D-lite': ('plain', 'chunks', 'two passes'),
    'SlowOnly-18': ('plain', 'chunks', 'two passes', 'with_cp'),
}


class Setting(NamedTuple):
    """What is trained.

    Args:
        network (str): One of ``WAYS``.
        narrow (int): All layers have that many times fewer channels.
        chunk (int): Clips a chunk, where a way has chunks.
    """

    network: str
    narrow: int
    chunk: int


# With numbers of clips; the time is taken at the second.
SETTINGS = {
    Setting('C3D-lite', 8, 16): (16, 64, 500),
    Setting('SlowOnly-18', 8, 16): (16, 64, 500),
    Setting('C3D-lite', 1, 4): (4, 16, 500),
}
QUICK = {
    Setting('C3D-lite', 8, 4): (4, 16),
    Setting('SlowOnly-18', 8, 4): (4, 16),
}
FLAT = {Setting('C3D-lite', 1, 16): (16, 64, 500)}
QUICK_FLAT = {Setting('C3D-lite', 8, 2): (2, 6)}
# More clips of full width are too much for ways that hold all of them.
MOST_AT_ONCE = 16


def build(setting: Setting, way: str) -> torch.nn.Module:
    """A network with its head, without dropout: all ways are then equal.

    ``way`` is one of ``WAYS``, or ``'half'``, the gradient through half of the
    clips. The recognizer is in training mode, and on the GPU if there is one.
    """
    torch.manual_seed(0)
    config = model_config(setting.narrow)
    config.backbone.dropout_ratio = 0
    config.data_preprocessor.type = 'ActionDataPreprocessor'
    if setting.network == 'SlowOnly-18':
        config.backbone = dict(
            type='ResNet3dSlowOnly',
            depth=18,
            pretrained=None,
            base_channels=64 // setting.narrow,
            lateral=False,
            conv1_kernel=(1, 7, 7),
            inflate=(0, 0, 1, 1),
            norm_eval=True,
            with_cp=way == 'with_cp',
        )
        width = 512 // setting.narrow
        config.cls_head.update(in_channels=width, spatial_type='avg')
    if way == 'chunks':
        config.train_cfg = dict(max_training_views=setting.chunk)
    elif way == 'half':
        config.train_cfg = dict(backward_share=0.5)
    model = MODELS.build(config)
    model.init_weights()
    model.to(DEVICE).train()
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


def reset_peak() -> float:
    """Forget the peak of memory so far.

    Returns:
        float: MiB taken now; the peak so far where it cannot be forgotten.
    """
    gc.collect()
    if DEVICE == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    try:
        Path('/proc/self/clear_refs').write_text('5')
    except OSError:
        return peak()
    return megabytes('VmRSS')


def peak() -> float:
    """MiB taken at most."""
    if DEVICE == 'cuda':
        return torch.cuda.max_memory_allocated() / 2**20
    return megabytes('VmHWM')


def seconds() -> float:
    """Clock of the GPU's work, or of the processor's."""
    return synchronised() if DEVICE == 'cuda' else time.process_time()


def gradient(model: torch.nn.Module) -> float:
    """Norm of all gradients."""
    norms = [p.grad.norm() for p in model.parameters()]
    return torch.stack(norms).norm().item()


def measure_memory(setting: Setting, way: str, clips: int) -> dict:
    """Memory of a step on a video of so many clips, in this process.

    Returns:
        dict: ``mib`` and ``gradient``, the norm of all gradients.
    """
    model, chunk = build(setting, way), setting.chunk
    # What libraries set up at their first use is no matter of clips. It takes
    # two chunks: a single one is not recomputed.
    cast = model.data_preprocessor.cast_data
    step(model, cast(make_batch(1, chunk + 1)), way, chunk)
    # On the device before the step, so that they are not counted.
    batch = cast(make_batch(1, clips))
    before = reset_peak()
    step(model, batch, way, chunk)
    return dict(mib=peak() - before, gradient=gradient(model))


def measure_time(
    setting: Setting, clips: int, rounds: int, ways: Sequence[str]
) -> dict[str, float]:
    """Time of each way as a multiple of plain's, median of the rounds."""
    models = {way: build(setting, way) for way in ways}
    batch = models['plain'].data_preprocessor.cast_data(make_batch(1, clips))
    rivals = {
        way: partial(step, model, batch, way, setting.chunk)
        for way, model in models.items()
    }
    taken = interleaved(rivals, rounds, seconds)
    return {way: ratio(times, taken['plain']) for way, times in taken.items()}


def apart(measure: Callable[..., dict], *arguments: object) -> dict:
    """Answer of a measurement made in a process of its own."""
    # A forked process cannot use CUDA.
    method = 'spawn' if DEVICE == 'cuda' else 'fork'
    return bench_common.apart(_measure, measure, arguments, method=method)


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
    setting: Setting, counts: tuple, rounds: int, ways: Sequence[str]
) -> list[list]:
    """A row a way: memory at each number of clips, time at the second."""
    times = apart(measure_time, setting, counts[1], rounds, ways)
    rows = []
    for way in ways:
        held = way in ('plain', 'with_cp')
        cells = []
        for clips in counts:
            if held and clips > MOST_AT_ONCE * setting.narrow:
                cells.append('-')
                continue
            found = apart(measure_memory, setting, way, clips)
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
    name = torch.cuda.get_device_name() if DEVICE == 'cuda' else machine()
    print(name, flush=True)
    if args.flat:
        settings = QUICK_FLAT if args.quick else FLAT
    else:
        settings = QUICK if args.quick else SETTINGS
    for setting, counts in settings.items():
        ways = WAYS[setting.network][: 2 if args.flat else None]
        print(
            f'\n{setting.network}, channels / {setting.narrow}, clips of '
            f'16x112x112, chunks of {setting.chunk}: MiB of a step beyond '
            'model, gradients and clips; time and norm of the gradient at '
            f'{counts[1]} clips\n'
        )
        rows = table(setting, counts, rounds, ways)
        header = ['way', *(f'{clips} clips' for clips in counts)]
        header += ['time against plain', 'gradient']
        print(markdown(header, rows), flush=True)


if __name__ == '__main__':
    main()

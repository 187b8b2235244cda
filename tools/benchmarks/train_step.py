"""How fast does C3D-lite train, and where does a step's time go?

Trains on random clips that are in memory already, so that the network alone
is timed. Rival: plain float32. Variants are timed in turn, round by round;
figures are medians of the rounds. Three tables:

- clips a second, of steps that wait for the GPU once, at their end, and their
  share of the speed of a large matrix product;
- where the time goes, of steps that wait after each part; "host waits" is the
  time that the calls of a step without such waits stand still for the GPU
  (synchronisation that PyTorch, network or loss bring along), which overlaps
  with the parts. Averaging gradients among ranks is not in it: one process;
- the CPU cores that reading needs to keep up, for videos of 320x240 read by
  ``ReadVideoClips``, decoded or from its cache (needs PyAV).

    python tools/benchmarks/train_step.py [--quick] [--compile | --no-compile]

The last two leave out what is not compiled, but for the rival, or what is, and
both of them reading. float16 scales its loss, as MMEngine does.
"""

import argparse
import contextlib
import logging
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

import cv2
import input_path
import torch
from bench_common import interleaved, machine, markdown, ratio
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmaction.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from torch.autograd import DeviceType
from torch.profiler import profile, record_function
from torch.utils.flop_counter import FlopCounterMode

import vll_mmaction  # noqa: F401  (before mmaction.models)

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
CONFIG = Path(__file__).parents[2] / 'configs/vll_c3d_ucf101.py'
# Name: autocast dtype, TF32, channels_last_3d, torch.compile.
VARIANTS = {
    'fp32': (None, False, False, False),
    'TF32': (None, True, False, False),
    'fp32, channels_last_3d': (None, False, True, False),
    'fp32, compile': (None, False, False, True),
    'fp16': (torch.float16, True, False, False),
    'bf16': (torch.bfloat16, True, False, False),
    'bf16, channels_last_3d': (torch.bfloat16, True, True, False),
    'bf16, channels_last_3d, compile': (torch.bfloat16, True, True, True),
}
PARTS = ('input', 'backbone', 'head and loss', 'backward', 'optimiser')
# Calls of the CUDA runtime that hold up the process; the last one does where
# the memory is not pinned.
HOST_WAITS = (
    'cudaStreamSynchronize',
    'cudaDeviceSynchronize',
    'cudaEventSynchronize',
    'cudaMemcpy',
    'cudaMemcpyAsync',
)
STEP = 'training step'  # what the profiler calls it
SIZES = {
    False: dict(videos=4, clips=8, rounds=7, warmup=3, channels=1),
    # A narrow network, so that a CPU is through in a minute.
    True: dict(videos=2, clips=2, rounds=2, warmup=1, channels=8),
}


def model_config(narrow: int) -> ConfigDict:
    """``model`` of configs/vll_c3d_ucf101.py.

    Args:
        narrow (int): All layers have that many times fewer channels.

    Returns:
        ConfigDict: The config.
    """
    config = Config.fromfile(CONFIG).model
    channels = [c // narrow for c in (64, 128, 256, 256, 256)]
    width = 4096 // narrow
    config.backbone.update(conv_channels=channels, fc_channels=width)
    config.cls_head.in_channels = width
    return config


def make_batch(videos: int, clips: int) -> dict:
    """A batch as the loader gives it, of videos of so many clips each.

    Returns:
        dict: ``inputs``, uint8, views of one array a video, and
        ``data_samples``.
    """
    inputs, samples = [], []
    for video in range(videos):
        shape = (clips, 1, 3, 16, 112, 112)
        inputs += torch.randint(0, 256, shape, dtype=torch.uint8)
        for _ in range(clips):
            sample = ActionDataSample().set_gt_label(video % 101)
            sample.set_metainfo(dict(video_id=video))
            samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


class Step:
    """One training step of a variant, and the time of its parts.

    Args:
        variant (tuple): See ``VARIANTS``.
        narrow (int): See :func:`model_config`.
        batch (dict): See :func:`make_batch`.
    """

    def __init__(self, variant, narrow, batch) -> None:
        self.dtype, self.tf32, channels_last, compiled = variant
        self.batch = batch
        self.model = MODELS.build(model_config(narrow)).to(DEVICE).train()
        self.model.init_weights()
        if channels_last:
            self.model.backbone.to(memory_format=torch.channels_last_3d)
        if compiled:
            # Batches have another number of clips in every step.
            self.model.backbone.compile(dynamic=True)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=1e-3, momentum=0.9
        )
        self.scaler = torch.cuda.amp.GradScaler(
            enabled=self.dtype is torch.float16
        )

    def run(self, apart: bool = True) -> dict:
        """Seconds of ``PARTS``, each waited for, or of the whole ``step``."""
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        torch.backends.cudnn.allow_tf32 = self.tf32
        cast = contextlib.nullcontext()
        if self.dtype is not None:
            cast = torch.autocast(DEVICE, self.dtype)
        model, times = self.model, [synchronised()]

        def done() -> None:
            if apart:
                times.append(synchronised())

        with record_function(STEP):
            batch = {k: list(v) for k, v in self.batch.items()}
            data = model.data_preprocessor(batch, training=True)
            done()
            with cast:
                views = data['inputs'].flatten(0, 1)
                features = model.backbone(views)
                done()
                losses = model.cls_head.loss(features, data['data_samples'])
            loss = losses['loss_ce'] + losses['loss_ccl']
            done()
            self.scaler.scale(loss).backward()
            done()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad()
        times.append(synchronised())
        names = PARTS if apart else ('step',)
        return dict(zip(names, (b - a for a, b in zip(times, times[1:]))))

    def host_waits(self) -> float:
        """Seconds that the calls of a step stand still for the GPU."""
        with profile() as found:  # of all that there is, CUDA's calls, too
            self.run(apart=False)
        return host_wait_seconds(found.events())


def host_wait_seconds(events: Iterable) -> float:
    """Time of the calls in ``HOST_WAITS`` within the range ``STEP``.

    Outside of it wait the measurement and, at its end, the profiler, which
    found these events.
    """
    events = [e for e in events if e.device_type == DeviceType.CPU]
    (step,) = (e.time_range for e in events if e.name == STEP)
    waits = [e.time_range for e in events if e.name in HOST_WAITS]
    return (
        sum(x.elapsed_us() for x in waits if step.start <= x.start < step.end)
        / 1e6
    )


def synchronised() -> float:
    """Time at which a GPU, where there is one, has done its work, seconds."""
    if DEVICE == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter()


def matmul_rate(dtype: Optional[torch.dtype], tf32: bool) -> float:
    """Operations a second of a large matrix product: the practical peak.

    ``dtype`` None is float32, which TF32 may round. The median of five.
    """
    torch.backends.cuda.matmul.allow_tf32 = tf32
    size = 8192 if DEVICE == 'cuda' else 512
    a = torch.randn(size, size, device=DEVICE, dtype=dtype)
    taken = interleaved({'': lambda: a @ a}, 5, synchronised, warm_up=0)
    return 2 * size**3 / statistics.median(taken[''])


def reading_rates(rounds: int) -> dict[str, float]:
    """Clips a second of one core that reads videos of 250 frames.

    Returns:
        dict[str, float]: By codec, and for the cache of decoded frames.
    """
    cv2.setNumThreads(0)
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, ways in input_path.ways_of_codecs(folder):
            ways = {
                name: ways['ours'],
                'cache of decoded frames': ways['ours, cache, later epochs'],
            }
            for way, seconds in interleaved(ways, rounds).items():
                rates[way] = (
                    input_path.FRAMES // 16 / statistics.median(seconds)
                )
    return rates


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--compile', action=argparse.BooleanOptionalAction)
    args = parser.parse_args()
    size = SIZES[args.quick]
    register_all_modules()
    logging.disable(logging.INFO)
    cuda = DEVICE == 'cuda'
    name = torch.cuda.get_device_name() if cuda else machine()
    torch.manual_seed(0)
    batch = make_batch(size['videos'], size['clips'])
    if cuda:  # as the data loader of the configs gives them
        batch['inputs'] = [clip.pin_memory() for clip in batch['inputs']]
    clips = len(batch['inputs'])

    counter = FlopCounterMode(display=False)
    with counter:
        Step(VARIANTS['fp32'], size['channels'], batch).run()
    flops = counter.get_total_flops()
    variants = {
        name: options
        for name, options in VARIANTS.items()
        # TF32 and half floats are CUDA's.
        if (cuda or options[:2] not in ((None, True), (torch.float16, True)))
        and (args.compile in (None, options[3]) or name == 'fp32')
    }
    peak = {
        precision: matmul_rate(*precision)
        for precision in {options[:2] for options in variants.values()}
    }

    steps, whole, parts = {}, {}, {}
    for variant, options in variants.items():
        steps[variant] = Step(options, size['channels'], batch)
        whole[variant], parts[variant] = [], []
    for number in range(size['warmup'] + size['rounds']):
        for variant, step in steps.items():
            seconds, split = step.run(apart=False)['step'], step.run()
            if number >= size['warmup']:
                whole[variant].append(seconds)
                parts[variant].append(split)

    print(
        f'{name}; {torch.get_num_threads()} threads, {clips} clips of '
        f'{size["videos"]} videos a step, 1/{size["channels"]} of the channels'
    )
    rows, rates = [], {}
    for variant, seconds in whole.items():
        median = statistics.median(seconds)
        rates[variant] = clips / median
        share = flops / median / peak[variants[variant][:2]]
        speed = ratio(whole['fp32'], seconds)
        cells = f'{rates[variant]:.1f}', f'{speed:.2f}', f'{share:.2f}'
        rows.append((variant, *cells))
    header = 'variant', 'clips/s', 'against fp32', 'share of matmul peak'
    print('\n' + markdown(header, rows))

    rows = []
    for variant, measured in parts.items():
        shares = [
            statistics.median(p[part] / sum(p.values()) for p in measured)
            for part in PARTS
        ]
        waits = f'{1e3 * steps[variant].host_waits():.2f} ms' if cuda else '-'
        cells = *(f'{100 * share:.1f}%' for share in shares), waits
        rows.append((variant, *cells))
    print('\n' + markdown(('share of the step', *PARTS, 'host waits'), rows))

    if args.compile is not None:
        return
    fastest = max(rates, key=rates.get)
    rows = [
        (way, f'{rate:.0f}', rates['fp32'] / rate, rates[fastest] / rate)
        for way, rate in reading_rates(size['rounds']).items()
    ]
    header = 'reading', 'clips/s of a core', 'cores for fp32', f'for {fastest}'
    print('\n' + markdown(header, rows))


if __name__ == '__main__':
    main()

"""What the benchmarks share: test videos, timing, tables, the machine."""

import multiprocessing
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Union

import numpy as np


def encode_video(
    path: str,
    codec: str = 'mpeg4',
    num_frames: int = 250,
    size: tuple[int, int] = (320, 240),
    key_frame_every: int = 250,
    b_frames: int = 0,
    variable_rate: bool = False,
    seed: int = 0,
) -> str:
    """Encode a video of a moving, slightly noisy texture with PyAV.

    Args:
        path (str): File to write; its ending chooses the container.
        codec (str): FFmpeg's name of the encoder, ``'mpeg4'`` (what XviD
            writes) or ``'libx264'``.
        num_frames (int): Number of frames.
        size (tuple[int, int]): Width and height.
        key_frame_every (int): Largest distance of key frames, in frames.
        b_frames (int): Most B-frames in a row.
        variable_rate (bool): Whether frames last 10 to 120 ms, rather than
            40 each.
        seed (int): Seed of the content.

    Returns:
        str: The path.
    """
    import av
    import cv2

    width, height = size
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)
    texture = cv2.resize(coarse, (2 * width, 2 * height))
    with av.open(path, 'w') as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv420p'
        stream.bit_rate = 600_000 * width * height // (320 * 240)
        stream.gop_size = key_frame_every
        context = stream.codec_context
        context.max_b_frames = b_frames
        # One thread, so that the same call writes the same file.
        context.thread_count = 1
        if codec == 'mpeg4' and path.endswith('.avi'):
            context.codec_tag = 'XVID'
        if variable_rate:
            context.time_base = Fraction(1, 1000)
        when = 0
        for number in range(num_frames):
            left = int(width * (0.5 + 0.45 * np.sin(number / 17)))
            top = int(height * (0.5 + 0.45 * np.cos(number / 23)))
            image = texture[top : top + height, left : left + width].copy()
            centre = int(width * (number % 50) / 50), height // 2
            cv2.circle(image, centre, height // 8, (255, 0, 0), -1)
            noise = rng.integers(-6, 7, image.shape)
            image = np.clip(image + noise, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            if variable_rate:
                frame.pts, frame.time_base = when, Fraction(1, 1000)
                when += int(rng.integers(10, 120))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def interleaved(
    rivals: dict[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
    warm_up: int = 1,
) -> dict[str, list[float]]:
    """Time several ways of doing a thing in turn, so that drift hits all.

    Args:
        rivals (dict[str, Callable]): Ways by name.
        rounds (int): Times that each is measured.
        clock (Callable): Seconds; user and system time of this process with
            all its threads, unless another is given.
        warm_up (int): Rounds before, that are not measured.

    Returns:
        dict[str, list[float]]: Seconds of each round.
    """
    seconds = {name: [] for name in rivals}
    for number in range(warm_up + rounds):
        for name, work in rivals.items():
            started = clock()
            work()
            if number >= warm_up:
                seconds[name].append(clock() - started)
    return seconds


def apart(work: Callable, *arguments, method: str = 'spawn'):
    """Do a thing in a process of its own, whose memory goes with it.

    Args:
        work (Callable): What to do.
        arguments: Its arguments.
        method (str): How the process is started.

    Returns:
        object: What ``work`` returned.
    """
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(work, *arguments).result()


def megabytes(kind: str, process: Union[int, str] = 'self') -> float:
    """Memory of a process, as Linux counts it.

    Args:
        kind (str): ``'RssAnon'``, what no file is mapped to, ``'RssShmem'``,
            ``'VmRSS'``, all of it, ``'VmHWM'``, its peak, or
            ``'Private_Dirty'``, what this process alone has written to.
        process (int | str): Its id.

    Returns:
        float: MiB.
    """
    file = 'smaps_rollup' if kind == 'Private_Dirty' else 'status'
    text = Path(f'/proc/{process}/{file}').read_text()
    return int(re.search(rf'^{kind}:\s+(\d+) kB', text, re.M)[1]) / 1024


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Median of the ratios of the rounds."""
    return float(np.median(np.asarray(over) / np.asarray(under)))


def markdown(header: Sequence[str], rows: Sequence[Sequence]) -> str:
    """A Markdown table.

    Args:
        header (Sequence[str]): Names of the columns; the first is aligned
            left, the others right.
        rows (Sequence[Sequence]): Cells; floats are given three digits.

    Returns:
        str: The table.
    """

    def line(cells) -> str:
        return '| ' + ' | '.join(map(str, cells)) + ' |'

    def cell(value) -> str:
        if not isinstance(value, float):
            return str(value)
        return f'{value:.3g}' if abs(value) < 1000 else f'{value:.0f}'

    rule = ['---'] + ['---:'] * (len(header) - 1)
    return '\n'.join(
        [line(header), line(rule), *(line(map(cell, row)) for row in rows)]
    )


def machine() -> str:
    """Processor, cores and versions, in a line."""
    import cv2
    import torch

    name = platform.machine()
    if os.path.exists('/proc/cpuinfo'):
        models = re.findall(
            'model name.*: (.*)', Path('/proc/cpuinfo').read_text()
        )
        name = models[0] if models else name
    return (
        f'{name}, {os.cpu_count()} cores, Python '
        f'{platform.python_version()}, PyTorch {torch.__version__}, '
        f'OpenCV {cv2.__version__}'
    )

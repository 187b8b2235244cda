"""What the benchmarks share: test videos, timing, tables, the machine."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from fractions import Fraction

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


def processor_seconds(work: Callable[[], object]) -> float:
    """User and system time of a call in this process, all its threads.

    Args:
        work (Callable): What to do.

    Returns:
        float: Seconds.
    """
    started = time.process_time()
    work()
    return time.process_time() - started


def interleaved(
    rivals: dict[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Time several ways of doing a thing in turn, so that drift hits all.

    Args:
        rivals (dict[str, Callable]): Ways by name.
        rounds (int): Times that each is measured, after one to warm up.

    Returns:
        dict[str, list[float]]: Processor seconds of each round.
    """
    seconds = {name: [] for name in rivals}
    for number in range(rounds + 1):
        for name, work in rivals.items():
            taken = processor_seconds(work)
            if number:
                seconds[name].append(taken)
    return seconds


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
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            for line in file:
                if line.startswith('model name'):
                    name = line.partition(':')[2].strip()
                    break
    return (
        f'{name}, {os.cpu_count()} cores, Python '
        f'{platform.python_version()}, PyTorch {torch.__version__}, '
        f'OpenCV {cv2.__version__}'
    )

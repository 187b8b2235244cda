#!/usr/bin/env python
"""How much processor time it takes to read the clips of a video.

Per codec: all clips of a video of 320x240, 16 frames each, resized, cropped
at random and flipped, to contiguous uint8 of 112x112, of which a batch can be
stacked. The rivals take turns, and a figure is the median of the ratios of
the rounds, so that a noisy machine does little harm.

- stock, a clip at a time: MMAction2's transforms with decord, the video
  opened and decoded for each clip on its own, as clip-level training does.
- stock, one pass: the same transforms on all clips at once.
- decord in VideoClipDataset: stock reading, a crop of its own for each clip.
- ours: VideoReaderInit and ReadVideoClips in VideoClipDataset.
- ours, not compiled: the same where swscale converts and OpenCV resizes, see
  fast_resize.py.
- ours, frames by OpenCV: the same with OpenCV's decoder in place of PyAV.
- ours, a clip at a time: as ours, where each clip is read on its own.
- the same with "cache": first epoch, an empty cache of decoded frames is
  filled on the way; later epochs, the frames are read from it. (Writing
  15 MB a video to the disk takes longer by the clock than by the processor.)
- codec alone: OpenCV decodes every frame and converts none; no reader that
  uses this decoder can be faster.

A second table shows where the time of ours goes (not compiled,
conversion and resizing belong to its last row).

Example::

    python tools/benchmarks/input_path.py --quick
"""

import argparse
import glob
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from unittest import mock

import cv2
import numpy as np
import torch
from bench_common import encode_video, interleaved, machine, markdown, ratio
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from vll_mmaction.datasets import ClipBatch, VideoClipDataset
from vll_mmaction.datasets.transforms import video_reader
from vll_mmaction.video_io import fast_resize
from vll_mmaction.video_io.fast_resize import FastResize
from vll_mmaction.video_io.video_file import VideoFile

CODECS = {
    'XviD, key frame every 12': ('12.avi', 'mpeg4', 12, 0),
    'XviD, every 250, B-frames': ('250.avi', 'mpeg4', 250, 2),
    'H.264, every 250, B-frames': ('250.mp4', 'libx264', 250, 2),
}
FRAMES = 250
BASE = 'stock, a clip at a time'
WHOLE = 'ours'
LIMIT = 'codec alone'
PARTS = [
    'decoding',
    'conversion to RGB, resizing, crop, flip, writing',
    'the rest: Python, NumPy, PyTorch, opening the file',
]
GEOMETRY = [
    dict(type='Resize', scale=(-1, 128)),
    dict(type='RandomCrop', size=112),
    dict(type='Flip', flip_ratio=0.5),
]
SAMPLE = dict(type='SampleVideoClips', clip_len=16)
PACK = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
STOCK = [
    dict(type='DecordInit'),
    SAMPLE,
    dict(type='DecordDecode'),
    *GEOMETRY,
    *PACK,
]
READ = dict(type='ReadVideoClips', transforms=GEOMETRY)
OURS = [dict(type='VideoReaderInit'), SAMPLE, READ, *PACK]


def opened(path: str) -> cv2.VideoCapture:
    """A video, decoded by one thread."""
    return cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])


def opencv_frames(path: str, wanted: np.ndarray, _) -> Iterator:
    """What ``read_lazy_frames`` gives, by OpenCV."""
    capture, position, frame = opened(path), 0, None
    for number in wanted.tolist():
        while position <= number:
            capture.grab()
            position += 1
        _, frame = capture.retrieve(frame)
        yield number, frame


def rivals(path: str, ann_file: str, cache: str) -> dict:
    """Ways of reading all clips of a video, by name.

    Its annotation is written to ``ann_file``; ``cache`` is a folder for
    decoded frames.
    """
    with open(ann_file, 'w', encoding='utf-8') as file:
        print(path, 0, file=file)
    ours = VideoClipDataset(ann_file, OURS)
    kept = dict(READ, cache=dict(folder=cache, max_gb=1))
    cached = VideoClipDataset(ann_file, [OURS[0], SAMPLE, kept, *PACK])
    seeks = dict(READ, seek=True)
    sought = VideoClipDataset(ann_file, [OURS[0], SAMPLE, seeks, *PACK])
    decord = VideoClipDataset(ann_file, STOCK)
    stock = Compose(STOCK)
    clips = range(len(ours))

    def stock_read(chosen) -> None:
        packed = stock(
            dict(
                filename=path,
                label=0,
                modality='RGB',
                start_index=0,
                clip_ids=np.asarray(chosen),
            )
        )
        packed['inputs'].contiguous()

    def codec_alone() -> None:
        capture = opened(path)
        while capture.grab():
            pass

    def read(dataset, chosen) -> None:
        dataset.__getitems__(ClipBatch(chosen, (0, 0)))

    def not_compiled() -> None:
        with mock.patch.object(fast_resize, 'resize_crop', None):
            read(ours, clips)

    def by_opencv() -> None:
        with mock.patch.object(
            video_reader, 'read_lazy_frames', opencv_frames
        ):
            read(ours, clips)

    def fill() -> None:
        for file in glob.glob(os.path.join(cache, '*')):
            os.remove(file)
        read(cached, clips)

    return {
        BASE: lambda: [stock_read([clip]) for clip in clips],
        'stock, one pass': lambda: stock_read(clips),
        'decord in VideoClipDataset': lambda: read(decord, clips),
        WHOLE: lambda: read(ours, clips),
        'ours, not compiled': not_compiled,
        'ours, frames by OpenCV': by_opencv,
        'ours, cache, first epoch': fill,
        'ours, cache, later epochs': lambda: read(cached, clips),
        'ours, a clip at a time': lambda: [
            read(ours, [clip]) for clip in clips
        ],
        'ours, a clip at a time, seek=True': lambda: [
            read(sought, [clip]) for clip in clips
        ],
        'ours, a clip at a time, cache, later epochs': lambda: [
            read(cached, [clip]) for clip in clips
        ],
        LIMIT: codec_alone,
    }


def ways_of_codecs(
    folder: str, num_frames: int = FRAMES, codecs: dict = CODECS
) -> Iterator[tuple[str, dict]]:
    """Each codec's name, and :func:`rivals` on a video that it encoded."""
    ann_file, cache = (os.path.join(folder, x) for x in ('ann.txt', 'cache'))
    for name, (ending, codec, distance, b_frames) in codecs.items():
        path = encode_video(
            os.path.join(folder, ending),
            codec,
            num_frames,
            key_frame_every=distance,
            b_frames=b_frames,
        )
        yield name, rivals(path, ann_file, cache)


def where_time_goes(read: Callable, rounds: int) -> dict:
    """Milliseconds that the parts of our reader take of ``read``, medians.

    Not compiled, conversion and resizing belong to the rest.
    """
    taken: dict[str, float] = {}

    def timed(name: str, call: Callable) -> Callable:
        def timed_call(*args):
            start = time.perf_counter()
            try:
                return call(*args)
            finally:
                taken[name] += time.perf_counter() - start

        return timed_call

    decode = VideoFile.decode

    def timed_decode(self, packets) -> Iterator:
        frames = decode(self, packets)
        take = timed('decoding', lambda: next(frames, None))
        yield from iter(take, None)

    found: dict[str, list] = {}
    with (
        mock.patch.object(VideoFile, 'decode', timed_decode),
        mock.patch.object(
            FastResize, '__call__', timed(PARTS[1], FastResize.__call__)
        ),
    ):
        for _ in range(rounds):
            taken.update(dict.fromkeys(PARTS, 0.0))
            start = time.perf_counter()
            read()
            whole = time.perf_counter() - start
            taken[PARTS[-1]] = whole - sum(taken.values())
            for name, seconds in taken.items():
                found.setdefault(name, []).append(1e3 * seconds)
    return {name: float(np.median(times)) for name, times in found.items()}


def measure(
    rounds: int, num_frames: int = FRAMES, codecs=CODECS
) -> tuple[list[list], list[list]]:
    """Rows of the tables.

    Args:
        rounds (int): Times that each rival is measured.
        num_frames (int): Length of the videos.
        codecs (dict): Name of a column, and what to encode.

    Returns:
        tuple[list[list], list[list]]: Name of a rival, then for each codec
        how many times as fast as the stock pipeline a clip at a time it is,
        and its share of the limit. Name of a part of our reader, then for
        each codec the milliseconds that it takes.
    """
    speeds: dict[str, list] = {}
    parts: dict[str, list] = {name: [] for name in PARTS}
    with tempfile.TemporaryDirectory() as folder:
        for _, ways in ways_of_codecs(folder, num_frames, codecs):
            seconds = interleaved(ways, rounds)
            for name, taken in seconds.items():
                share = ratio(seconds[LIMIT], taken)
                speed = ratio(seconds[BASE], taken)
                speeds.setdefault(name, []).append(
                    f'{speed:.2f} ({share:.2f})'
                )
            for name, spent in where_time_goes(ways[WHOLE], rounds).items():
                parts[name].append(f'{spent:.1f}')
    return tuple(
        [[name, *found] for name, found in table.items()]
        for table in (speeds, parts)
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quick', action='store_true', help='a minute')
    parser.add_argument('--rounds', type=int, help='times each is measured')
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    init_default_scope('mmaction')
    rounds = args.rounds or (3 if args.quick else 11)
    rows, parts = measure(rounds)
    print(machine())
    print(
        f'Videos of {FRAMES} frames, medians of {rounds} rounds: speed '
        'by processor time (share of the codec alone)\n'
    )
    print(markdown(['reading', *CODECS], rows))
    print('\nWhere the time of ours goes, ms a video by the clock:\n')
    print(markdown(['part', *CODECS], parts))


if __name__ == '__main__':
    main()

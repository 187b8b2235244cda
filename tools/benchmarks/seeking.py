#!/usr/bin/env python
"""Is seeking right, and when is it cheaper than reading on?

Clip-level training reads one clip of a video. For clips spread over a video,
compared with the frames that decoding from the start gives: how many come out
wrong after a seek, and the processor time of a clip

- OpenCV seeks: opened, sought by ``CAP_PROP_POS_FRAMES``, read;
- decord seeks: what MMAction2's ``DecordInit`` and ``DecordDecode`` do;
- reading on: all frames before the clip are decoded, as ReadVideoClips does;
- our seeks: to the key packets of the frame index, as
  ``ReadVideoClips(seek=True)`` does.

Example::

    python tools/benchmarks/seeking.py --quick
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence

import cv2
import decord
import numpy as np
from bench_common import encode_video, machine, markdown
from input_path import opened

from vll_mmaction.video_io.frame_source import read_frames
from vll_mmaction.video_io.video_facts import KeyPacket
from vll_mmaction.video_io.video_probe import probe_video

CLIP_LEN = 16
B_FRAMES = dict(b_frames=2)
H264 = dict(codec='libx264', b_frames=2)
VARIABLE = dict(H264, variable_rate=True)
# Name: file's ending, key frame every so many frames, options of the encoder.
VIDEOS = {
    'XviD in AVI': ('avi', 12, {}),
    'XviD in AVI, B-frames': ('avi', 12, B_FRAMES),
    'MPEG-4 in MP4, B-frames': ('mp4', 12, B_FRAMES),
    'H.264 in MP4, B-frames': ('mp4', 12, H264),
    'H.264 in MP4, B-frames, every 250': ('mp4', 250, H264),
    'H.264 in MP4, variable rate': ('mp4', 12, VARIABLE),
    'H.264 in MKV, variable rate': ('mkv', 12, VARIABLE),
}


def read(capture: cv2.VideoCapture, number: int) -> list[np.ndarray]:
    """The next frames, (H, W, 3) uint8, BGR, at most so many."""
    frames = []
    for _ in range(number):
        good, frame = capture.read()
        if not good:
            break
        frames.append(frame)
    return frames


def opencv_seeks(path: str, start: int, _: Sequence[KeyPacket]) -> list:
    """A clip, BGR."""
    capture = opened(path)
    capture.set(cv2.CAP_PROP_POS_FRAMES, start)
    return read(capture, CLIP_LEN)


def decord_seeks(path: str, start: int, _: Sequence[KeyPacket]) -> list:
    """A clip, BGR."""
    reader = decord.VideoReader(path, num_threads=1)
    batch = reader.get_batch(range(start, start + CLIP_LEN))
    return list(batch.asnumpy()[..., ::-1])


def our_seeks(path: str, start: int, keys: Sequence[KeyPacket]) -> list:
    """A clip, BGR."""
    wanted = np.arange(start, start + CLIP_LEN)
    return [frame for _, frame in read_frames(path, wanted, keys)]


def reading_on(path: str, start: int, _: Sequence[KeyPacket]) -> list:
    """A clip, BGR."""
    return our_seeks(path, start, ())


WAYS = {
    'OpenCV seeks': opencv_seeks,
    'decord seeks': decord_seeks,
    'reading on': reading_on,
    'our seeks': our_seeks,
}


def measure(path: str, clips: int) -> dict[str, tuple[int, float]]:
    """Try all ways on clips spread over a video.

    Returns:
        dict[str, tuple[int, float]]: Of each way, clips that are wrong and
        mean seconds of the processor a clip.
    """
    frames = read(opened(path), 10**6)
    keys = probe_video(path).keys
    starts = np.linspace(0, len(frames) - CLIP_LEN, clips).astype(int).tolist()
    wrong, taken = dict.fromkeys(WAYS, 0), dict.fromkeys(WAYS, 0.0)
    for start in starts:
        wanted = np.stack(frames[start : start + CLIP_LEN])
        for name, way in WAYS.items():
            began = time.process_time()
            clip = way(path, start, keys)
            taken[name] += time.process_time() - began
            wrong[name] += not np.array_equal(np.stack(clip), wanted)
    return {name: (wrong[name], taken[name] / clips) for name in WAYS}


def table(num_frames: int, clips: int) -> list[list]:
    """Rows: a kind of video, ms and wrong clips of each way."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (ending, every, options)) in enumerate(
            VIDEOS.items()
        ):
            path = encode_video(
                os.path.join(folder, f'{number}.{ending}'),
                num_frames=num_frames,
                key_frame_every=every,
                **options,
            )
            cells = [
                f'{1e3 * seconds:.1f} ({wrong})'
                for wrong, seconds in measure(path, clips).values()
            ]
            rows.append([name, *cells])
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--quick', action='store_true', help='a minute')
    args = parser.parse_args()
    cv2.setNumThreads(0)
    num_frames, clips = (250, 10) if args.quick else (750, 25)
    print(machine())
    print(
        f'Videos of 320x240, {num_frames} frames, key frames every 12 unless '
        f'said; ms a clip of {CLIP_LEN} frames, and in brackets how many of '
        f'{clips} clips are wrong\n'
    )
    print(markdown(['video', *WAYS], table(num_frames, clips)))


if __name__ == '__main__':
    main()

"""Writes strips of thumbnails, one a line: the program behind thumbnails.py.

Run as a script of its own, not imported: a decoder that crashes or hangs on a
bad file then takes this process with it and nothing else, and starting it
needs neither torch nor MMAction2.

Reads a JSON line ``{"video", "frames", "columns", "out"}`` from standard
input, answers each with ``{"reason": ""}``, or with the reason why there is no
strip.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import cv2
import numpy as np

HEIGHT = 96
WIDEST = 3 * HEIGHT
QUALITY = 80
IMAGES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')


def _load_read_frames() -> Callable:
    """Our decoder, without its package, which would import torch."""
    sys.path.append(str(Path(__file__).parents[1]))
    from video_io.frame_source import read_frames

    return read_frames


def _read_images(
    folder: str, wanted: list
) -> Iterator[tuple[int, np.ndarray]]:
    """Frames kept as images, by the number that ends their names."""
    images: dict[int, str] = {}
    for name in sorted(os.listdir(folder)):
        number = re.search(r'(\d+)\.\w+$', name)
        # The other images of a folder of frames are optical flow.
        if number and name.lower().endswith(IMAGES) and 'flow' not in name:
            images.setdefault(int(number[1]), name)
    for number in wanted:
        if number not in images:
            raise ValueError(f'it has no image of frame {number}')
        data = np.fromfile(os.path.join(folder, images[number]), np.uint8)
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if frame is None:
            raise ValueError(f'{images[number]} is no image')
        yield number, frame


def make_strip(
    video: str, frames: list, columns: int, read_frames: Callable
) -> bytes:
    """One picture of some frames, row by row.

    Args:
        video (str): Video file, or folder of images.
        frames (list[int]): Frame numbers, ascending, each once.
        columns (int): Frames in a row.
        read_frames (Callable): Reads the frames of a video file.

    Returns:
        bytes: A JPEG file.

    Raises:
        ValueError: The video cannot be read or lacks one of the frames.
    """
    if os.path.isdir(video):
        source = _read_images(video, frames)
    else:
        source = read_frames(video, np.array(frames))
    strip = np.empty(0, np.uint8)
    for place, (_, frame) in enumerate(source):
        if not strip.size:
            height, width = frame.shape[:2]
            width = min(WIDEST, max(1, round(HEIGHT * width / height)))
            columns = min(columns, len(frames))
            rows = -(-len(frames) // columns)
            strip = np.zeros((rows, HEIGHT, columns, width, 3), np.uint8)
        row, column = divmod(place, columns)
        strip[row, :, column] = cv2.resize(
            frame, (width, HEIGHT), interpolation=cv2.INTER_AREA
        )
    strip = strip.reshape(rows * HEIGHT, columns * width, 3)
    good, data = cv2.imencode(
        '.jpg', strip, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    if not good:
        raise ValueError(f'{len(frames)} frames are too many for a picture')
    return data.tobytes()


def _answer(job: dict, read_frames: Callable) -> str:
    """Write the strip of a job; why there is none, or ''."""
    try:
        data = make_strip(
            job['video'], job['frames'], job['columns'], read_frames
        )
    except (ValueError, cv2.error) as error:
        return str(error).strip().splitlines()[0][:200]
    # Renamed when complete: a strip that is there is a whole one.
    temporary = f'{job["out"]}.tmp'
    with open(temporary, 'wb') as file:
        file.write(data)
    os.replace(temporary, job['out'])
    return ''


def main() -> None:
    """Answer jobs until standard input ends."""
    cv2.setNumThreads(1)  # there is a process a core
    read_frames = _load_read_frames()
    # Decoders write to the standard output, too; keep a clean one for answers.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            reason = _answer(json.loads(line), read_frames)
        except OSError as error:
            reason = str(error)
        print(json.dumps(dict(reason=reason)), file=answers, flush=True)


if __name__ == '__main__':
    main()

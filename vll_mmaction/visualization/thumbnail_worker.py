"""Writes strips of thumbnails, one a line: the program behind thumbnails.py.

Run as a script of its own, not imported: a decoder that crashes or hangs on a
bad file then takes this process with it and nothing else, and starting it
needs neither torch nor MMAction2.

Reads a JSON line ``[video, frames, out]`` from standard input, answers each
with a JSON string: ``""``, or the reason why there is no strip. A video that
takes longer than the argument says, in seconds, ends the process.
"""

import faulthandler
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import numpy as np
from PIL import Image, ImageOps

TILE = 128, 96
COLUMNS = 20
"""Size and number of the frames in a row; vote_report.js knows them, too."""
QUALITY = 80
IMAGES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')


def _load_read_frames() -> Callable:
    """Our decoder, without its package, which would import torch."""
    sys.path.append(str(Path(__file__).parents[1]))
    from video_io.frame_source import read_frames

    return read_frames


def _read_video(
    path: str, wanted: list, read_frames: Callable
) -> Iterator[Image.Image]:
    for _, frame in read_frames(path, np.array(wanted)):
        yield Image.fromarray(frame[:, :, ::-1])


def _read_images(folder: str, wanted: list) -> Iterator[Image.Image]:
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
        with Image.open(os.path.join(folder, images[number])) as image:
            yield image.convert('RGB')


def write_strip(
    video: str, frames: list, out: str, read_frames: Callable
) -> None:
    """Write a JPEG file of some frames, ascending, each once, row by row.

    The video is a file, which ``read_frames`` reads, or a folder of images.

    Raises:
        Exception: The video cannot be read or lacks one of the frames.
    """
    columns, rows = min(COLUMNS, len(frames)), -(-len(frames) // COLUMNS)
    strip = Image.new('RGB', (columns * TILE[0], rows * TILE[1]))
    if os.path.isdir(video):
        source = _read_images(video, frames)
    else:
        source = _read_video(video, frames, read_frames)
    for place, frame in enumerate(source):
        row, column = divmod(place, COLUMNS)
        at = column * TILE[0], row * TILE[1]
        strip.paste(ImageOps.pad(frame, TILE), at)
    # Renamed when complete: a strip that is there is a whole one.
    strip.save(f'{out}.tmp', 'JPEG', quality=QUALITY)
    os.replace(f'{out}.tmp', out)


def main() -> None:
    """Answer jobs until standard input ends."""
    seconds = float(sys.argv[1])
    read_frames = _load_read_frames()
    # Decoders write to the standard output, too; keep a clean one for answers.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    for line in sys.stdin:
        faulthandler.dump_traceback_later(seconds, exit=True)
        try:
            write_strip(*json.loads(line), read_frames)
            reason = ''
        except Exception as error:  # whatever a decoder meets in any file
            first = str(error).strip().split('\n')[0][:200]
            reason = first or type(error).__name__
        print(json.dumps(reason), file=answers, flush=True)
    faulthandler.cancel_dump_traceback_later()


if __name__ == '__main__':
    main()

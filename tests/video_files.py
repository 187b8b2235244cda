"""Real video files for tests: written and read by OpenCV."""

import os

import cv2
import numpy as np


def write_video(path, num_frames, size=(48, 64), fourcc='MJPG', seed=0):
    """Write a video of random smooth frames, all different.

    Args:
        path (str | os.PathLike): File to write; its folder is made.
        num_frames (int): Number of frames.
        size (tuple[int, int]): Height and width.
        fourcc (str): Codec, ``MJPG`` and ``XVID`` for .avi.
        seed (int): Seed of the content.

    Returns:
        str: The path.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    height, width = size
    rng = np.random.default_rng(seed)
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*fourcc), 25, (width, height)
    )
    assert writer.isOpened()
    for number in range(num_frames):
        coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        frame = cv2.resize(coarse, (width, height))
        # A bar at the frame's number tells neighbours apart by eye, too.
        frame[:, number % width] = 255
        writer.write(frame)
    writer.release()
    return str(path)


def read_video(path):
    """All frames of a video, in order, by OpenCV.

    Args:
        path (str | os.PathLike): The file.

    Returns:
        np.ndarray: (n, H, W, 3) uint8, RGB.
    """
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, frame = capture.read()
        if not good:
            return np.stack(frames)
        frames.append(frame[:, :, ::-1])


def write_dataset(folder, lengths, num_classes=2, fourcc='MJPG', **kwargs):
    """Write videos and their annotation file.

    Args:
        folder (pathlib.Path): Where to.
        lengths (Sequence[int]): Frames of each video.
        num_classes (int): Labels are 0, 1, ... in turn.
        fourcc (str): Codec.
        kwargs: Further arguments of :func:`write_video`.

    Returns:
        str: The annotation file; video k is ``videos/k.avi``.
    """
    lines = []
    for number, length in enumerate(lengths):
        write_video(
            folder / 'videos' / f'{number}.avi',
            length,
            fourcc=fourcc,
            seed=number,
            **kwargs,
        )
        lines.append(f'{number}.avi {number % num_classes}\n')
    ann_file = folder / 'ann.txt'
    ann_file.write_text(''.join(lines))
    return str(ann_file)

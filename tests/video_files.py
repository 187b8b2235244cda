"""Real video files for tests: written and read by OpenCV, or by PyAV."""

import os
import struct
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from vll_mmaction.video_io.video_file import VideoFile


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
    """All frames of a video, in order and as they are stored, by OpenCV.

    Args:
        path (str | os.PathLike): The file.

    Returns:
        np.ndarray: (n, H, W, 3) uint8, RGB.
    """
    capture = cv2.VideoCapture(str(path))
    # OpenCV 5 would turn them, OpenCV 4.11 does not.
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
    frames = []
    while True:
        good, frame = capture.read()
        if not good:
            return np.stack(frames)
        frames.append(frame[:, :, ::-1])


def rotate(path):
    """Turn a video by its header, as phones do.

    Args:
        path (str | os.PathLike): An MP4 file, which is changed.
    """
    data = bytearray(Path(path).read_bytes())
    at = data.index(b'tkhd') + 4 + 40
    data[at : at + 36] = struct.pack(
        '>9i', 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30
    )
    Path(path).write_bytes(data)


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


def write_parts(
    path, codec, parts, num_frames=12, pix_fmt='yuv420p', **options
):
    """Write a video whose stream goes on with what another encoder wrote.

    Args:
        path (str | os.PathLike): File to write; its ending chooses the
            container.
        codec (str): FFmpeg's name of the encoder.
        parts (Sequence[dict]): Attributes of the encoder of each part, with
            ``width`` and ``height``.
        num_frames (int): Number of frames of each part.
        pix_fmt (str): Pixel format.
        options (Any): Options of the codec.

    Returns:
        str: The path.
    """
    rng = np.random.default_rng(0)
    rate = Fraction(1, 25)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25)
        stream.pix_fmt, stream.codec_context.options = pix_fmt, options
        stream.width, stream.height = parts[0]['width'], parts[0]['height']
        for number, part in enumerate(parts):
            encoder = av.CodecContext.create(codec, 'w')
            encoder.time_base, encoder.framerate = rate, 25
            encoder.pix_fmt, encoder.options = pix_fmt, dict(options)
            encoder.gop_size = 5
            for name, value in part.items():
                setattr(encoder, name, value)
            packets = []
            for when in range(num_frames * number, num_frames * (number + 1)):
                coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
                image = cv2.resize(coarse, (part['width'], part['height']))
                frame = av.VideoFrame.from_ndarray(image, format='rgb24')
                frame = frame.reformat(format=pix_fmt)
                frame.pts, frame.time_base = when, rate
                packets += encoder.encode(frame)
            for packet in (*packets, *encoder.encode(None)):
                packet.stream = stream
                container.mux(packet)
    return str(path)


def short_decode(num_frames):
    """Stand in for a decoder that gives fewer frames than were counted.

    Args:
        num_frames (Callable[[str], int]): Frames that it gives of a file.

    Returns:
        Callable: To be put in place of ``VideoFile.decode``.
    """
    decode = VideoFile.decode

    def short(self, packets):
        return islice(decode(self, packets), num_frames(self.path))

    return short

#!/usr/bin/env python
"""Makes tiny videos with the names and frame counts of a real data set.

For a trial of the preparation, of training's reading, or of disk and workers
where the real videos are not at hand. Each file has the official name and
the true number of frames, but shows a plain grey; as XviD wrote the real ones
it has one key frame and packed B-frames. The split files are copied beside
them.

Example::

    python tools/data/make_stand_in.py hmdb51 \\
        --splits testTrainMulti_7030_splits --frames frames.csv \\
        --out data/hmdb51_stand_in
"""

import argparse
import csv
import shutil
import sys
from pathlib import Path

import av
import numpy as np
from rich.progress import track
from video_lists import HMDB51, UCF101, PreparationError

SOURCES = {source.name: source for source in (UCF101, HMDB51)}
SIDE = 32
"""Height and width of a frame, in pixels."""


def read_frames(path: Path) -> dict:
    """Frame counts from a CSV file with the columns video and frames.

    ``video`` is class/name without extension.
    """
    with open(path, newline='') as file:
        return {x['video']: int(x['frames']) for x in csv.DictReader(file)}


def write_video(path: Path, frames: int) -> None:
    """Write a grey video, ``.avi``, of so many frames, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((SIDE, SIDE, 3), 128, np.uint8)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', 25, dict(strict='experimental'))
        stream.width = stream.height = SIDE
        stream.pix_fmt = 'yuv420p'
        stream.gop_size = frames + 1
        stream.codec_context.max_b_frames = 1
        stream.codec_context.codec_tag = 'XVID'
        packets = []
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(image, 'rgb24')
            frame.pts = number
            packets += stream.encode(frame)
        for packet in pack_b_frames(packets + stream.encode(None)):
            container.mux(packet)


def pack_b_frames(packets: list) -> list:
    """Packets as XviD and DivX wrote AVI.

    A P and a B picture share a packet, and a stand-in follows. Behind the
    first picture comes a byte for the encoder's delay. So there is a packet
    more than there are pictures.

    Args:
        packets (list[av.Packet]): Of the encoder, with a B picture at most
            between two others.

    Returns:
        list[av.Packet]: To be muxed into an AVI file.
    """
    mark = b'\0\0\x01\xb2DivX503b1393p'
    # A P picture (01) at no time (0, 1, five bits, 1), not coded (0).
    nothing = b'\0\0\x01\xb6\x50\x7f'
    packed: list[tuple[bytes, bool]] = []
    for packet in packets:
        data, is_key = bytes(packet), packet.is_keyframe
        start = data.index(b'\0\0\x01\xb6')
        if is_key:
            data = data[:start] + mark + data[start:]
        if not is_key and data[start + 4] >> 6 == 2:  # B
            packed[-1] = packed[-1][0] + data, packed[-1][1]
            packed.append((nothing, False))
        else:
            packed.append((data, is_key))
        if len(packed) == 1:
            packed.append((b'\x7f', False))
    found = []
    for number, (data, is_key) in enumerate(packed):
        packet = av.Packet(data)
        packet.stream, packet.is_keyframe = packets[0].stream, is_key
        packet.time_base = packets[0].time_base
        packet.dts = packet.pts = number
        found.append(packet)
    return found


def main(args=None) -> None:
    """Make the tree as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('name', choices=SOURCES)
    parser.add_argument(
        '--splits', type=Path, required=True, help='official split files'
    )
    parser.add_argument(
        '--frames',
        type=Path,
        required=True,
        help='CSV with columns video (class/name, no extension) and frames',
    )
    parser.add_argument('--out', type=Path, required=True, help='a new folder')
    args = parser.parse_args(args)
    source = SOURCES[args.name]
    if args.out.exists():
        sys.exit(f'{args.out} exists: name a new folder')
    try:
        names = sorted(source.read_splits(args.splits).labels)
        frames = read_frames(args.frames)
        unknown = [x for x in names if x.rsplit('.', 1)[0] not in frames]
        if unknown:
            sys.exit(f'{args.frames} has no frame count of {unknown[0]}')
        for name in track(names, 'writing videos'):
            path = args.out / source.video_folders[-1] / name
            write_video(path, frames[name.rsplit('.', 1)[0]])
    except PreparationError as error:
        sys.exit(str(error))
    shutil.copytree(args.splits, args.out / source.split_folders[0])
    counts = [frames[name.rsplit('.', 1)[0]] for name in names]
    clips = sum(max(1, count // 16) for count in counts)
    print(f'{len(names):,} videos, {clips:,} clips of 16 frames: {args.out}')


if __name__ == '__main__':
    main()

#!/usr/bin/env python
"""Counts the frames of listed videos, as the first start of a training would.

Of a job array each task counts a part, on as many machines as you like; what
is counted stays counted when a task is stopped::

    python tools/data/count_frames.py data/videos data/train.txt --part 3/64

Training then finds a complete index. Run it again for what is left.
"""

import argparse

from vll_mmaction.datasets.annotation_list import read_annotation_list
from vll_mmaction.video_io.frame_index import (
    FrameIndex,
    default_index_path,
)


def part_of(text: str) -> tuple[int, int]:
    """``3/64`` as (2, 64)."""
    number, _, parts = text.partition('/')
    if not 1 <= int(number) <= int(parts):
        raise argparse.ArgumentTypeError('wanted: i/n, with i from 1 to n')
    return int(number) - 1, int(parts)


def main() -> None:
    """Count a part of the videos."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'videos', help="folder of the videos, the dataset's data_prefix"
    )
    parser.add_argument('lists', nargs='+', help='annotation lists')
    parser.add_argument(
        '--part', type=part_of, default=(0, 1), help='i/n: part i of n'
    )
    parser.add_argument(
        '--index', help='as `frame_index` of the dataset, where that is set'
    )
    parser.add_argument(
        '--count',
        choices=('decode', 'packets'),
        default='decode',
        help='as `count` of the dataset (default: %(default)s)',
    )
    args = parser.parse_args()
    path = args.index or default_index_path(args.videos, args.lists[0])
    index = FrameIndex(path, args.videos)
    for file in args.lists:
        names = read_annotation_list(file).names
        counted = index.count_part(names, args.part, args.count)
        print(f'{file}: {counted} of {len(names)} videos counted')


if __name__ == '__main__':
    main()

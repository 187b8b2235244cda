"""Reads the frame index of earlier versions, a text file."""

import json
import os
from collections.abc import Iterator

from .index_files import check_header, no_index
from .index_rows import TEXT, IndexRow
from .video_facts import VideoFacts

VERSION = 1


def stamp_of_text(path: str) -> list[int]:
    """Size and time of an index, by which a base knows that it holds it."""
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns]


def read_text_index(path: str) -> Iterator[IndexRow]:
    """Rows of an index of an earlier version, without key packets.

    Args:
        path (str): Its file.

    Yields:
        IndexRow: One a video.

    Raises:
        ValueError: It is no such index.
    """
    with open(path, 'rb') as file:
        try:
            check_header(json.loads(file.readline()), VERSION)
            for line in file:
                name, size, mtime, frames, reason, *_ = json.loads(line)
                facts = VideoFacts(frames=frames, reason=reason)
                yield IndexRow(name, size, mtime, 0, TEXT, facts)
        except (ValueError, TypeError) as error:
            raise no_index(path, error) from None

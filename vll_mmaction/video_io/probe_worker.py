"""Looks into videos, one a line: the program behind the frame index.

Run as a script of its own, not imported: a decoder that crashes or hangs on a
bad file then takes this process with it and nothing else, and starting it
needs neither torch nor MMAction2.

Reads a JSON list ``[question, path]`` a line from standard input and answers
each with a JSON line: ``"count"`` with ``{"frames": n}`` or ``{"reason":
"..."}``, ``"seek"`` with ``{"seek_points": [...]}``.
"""

import json
import os
import re
import stat
import sys

# Decoders would read the files, or the addresses, that these name.
PLAYLISTS = (b'#EXTM3U', b'ffconcat', b'<?xml', b'<MPD')


def probe(path: str) -> dict:
    """Count the frames of one video and decode the first.

    Args:
        path (str): Path of the video file.

    Returns:
        dict: ``frames`` (int, at least 1), or ``reason`` (str) why the file
        cannot be used.
    """
    try:
        # A pipe or a device would be waited for.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return {'reason': 'it is not a file'}
        with open(path, 'rb') as file:
            start = file.read(16)
    except FileNotFoundError:
        return {'reason': 'there is no such file'}
    except (OSError, ValueError) as error:
        cause = getattr(error, 'strerror', None) or str(error)
        return {'reason': f'it cannot be read: {cause}'}
    if not start:
        return {'reason': 'the file is empty'}
    if start.startswith(PLAYLISTS):
        return {'reason': 'it is a list of other files, not a video'}
    import decord

    # Run as a script, the folder of this file is where modules are found.
    if __package__:
        from .stream_sizes import stream_sizes
    else:
        from stream_sizes import stream_sizes  # type: ignore[no-redef]

    try:
        # The container's header may lie; decord counts what it demuxes.
        reader = decord.VideoReader(path, num_threads=1)
        frames = len(reader)
        if frames and not _first_frame_decodes(path):
            reader[0]
    except Exception as error:
        return {'reason': f'cannot be decoded: {_cause(error)}'}
    if not frames:
        return {'reason': 'it has no frames'}
    sizes = stream_sizes(path)
    if sizes:
        listed = ', then '.join(f'{w}x{h}' for w, h in sizes[:5])
        return {'reason': f'its frames change their size: {listed}'}
    return {'frames': frames}


def search(path: str) -> dict:
    """Find the places of a video from which reading may begin.

    Args:
        path (str): Path of a video file whose frames were counted.

    Returns:
        dict: ``seek_points``, a list.
    """
    if __package__:
        from .seek_points import find_seek_points
    else:
        from seek_points import find_seek_points  # type: ignore[no-redef]
    return {'seek_points': find_seek_points(path)}


QUESTIONS = dict(count=probe, seek=search)


def _first_frame_decodes(path: str) -> bool:
    """Whether OpenCV decodes the first frame.

    decord's decoder runs ahead in a thread of its own: whether damage further
    on fails the first frame, too, depends on who is faster.
    """
    import cv2

    capture = cv2.VideoCapture(
        path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]
    )
    try:
        return capture.grab()
    finally:
        capture.release()


def _cause(error: Exception) -> str:
    """The first line of decord's C++ stack without time and source file."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r'\[[\d:]+\] \S+:\d+: ', '', lines[0])[:200]


def main() -> None:
    """Answer paths until standard input ends."""
    # Decoders write to the standard output, too; keep a clean one for answers.
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            question, path = json.loads(line)
            answer = QUESTIONS[question](path)
        except (OSError, ImportError) as error:
            answer = {'reason': str(error)}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
    main()

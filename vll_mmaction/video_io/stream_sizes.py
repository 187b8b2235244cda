"""The frame sizes that the packets of a video file state.

Where a stream goes on with frames of another size, OpenCV keeps the first: of
larger frames nothing comes, of smaller ones there comes a part with what
happens to be in memory beside it. Nor does it tell. To decode every frame in
search of that would take as long as an epoch. But encoders state the size in
the packets, and packets can be read without decoding them.

Imported by ``probe_worker.py``, which runs without torch and MMAction2.
"""

import os
import re
import struct
import tempfile

import cv2

# Of each codec, as OpenCV calls it: what states the size, found in the first
# bytes of a packet, and the ending of a file of its packets alone.
_STATEMENTS = {
    # Sequence parameter set, up to the next start code.
    'h264': (rb'\0\0\x01[\x07\x27\x47\x67].+?(?=\0\0\x01|\Z)', '.h264'),
    # The same, with the video parameter set before it.
    'hevc': (
        rb'(?:\0\0\x01\x40\x01.+?)?'
        rb'\0\0\x01\x42\x01.+?(?=\0\0\x01|\Z)',
        '.hevc',
    ),
    # MPEG-4 Visual (XviD, DivX): video object layer.
    'FMP4': (rb'\0\0\x01[\x20-\x2f].+?(?=\0\0\x01|\Z)', '.m4v'),
    # Sequence header: width and height, 12 bits each.
    'mpg1': (rb'\0\0\x01\xb3...', '.m1v'),
    'mpg2': (rb'\0\0\x01\xb3...', '.m2v'),
    # Start of frame: length, bits, height, width.
    'MJPG': (rb'\xff[\xc0-\xc2].{7}', '.mjpeg'),
    # Key frames.
    'VP80': (rb'^...\x9d\x01\x2a....', '.ivf'),
    'VP90': (rb'^.\x49\x83\x42.{5}', '.ivf'),
}
# Bytes of a packet in which a statement is looked for, since encoders sign
# their work before it, and that suffice to find the size.
_START, _ENOUGH = 4096, 65536


def stream_sizes(path: str) -> list[tuple[int, int]]:
    """Frame sizes that a video's packets state.

    Known for H.264, HEVC, MPEG-1, -2 and -4, Motion JPEG, VP8 and VP9, where
    key frames state it.

    Args:
        path (str): Video file.

    Returns:
        list[tuple[int, int]]: Width and height, each once, in order; empty if
        they are the same throughout, or the codec states none.
    """
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    codec = code.to_bytes(4, 'little').decode('latin-1')
    if codec not in _STATEMENTS:
        return []
    pattern, ending = _STATEMENTS[codec]
    statement = re.compile(pattern, re.DOTALL)
    # Statements differ in more than the size: a packet with each is kept.
    packets: dict[bytes, bytes] = {}
    buffer = None
    while True:
        good, buffer = capture.read(buffer)
        if not good:
            break
        packet = buffer.reshape(-1)
        found = statement.search(packet[:_START].tobytes())
        if found and found[0] not in packets:
            # Behind that of an HEVC packet OpenCV puts the one of the file.
            end = found.end()
            rest = statement.sub(b'', packet[end:_ENOUGH].tobytes())
            packets[found[0]] = packet[:end].tobytes() + rest
    if len(packets) < 2:
        return []
    found_sizes = [_size(packet, codec, ending) for packet in packets.values()]
    # A damaged statement counts for nothing: no decoder follows it.
    sizes = [size for size in dict.fromkeys(found_sizes) if all(size)]
    return sizes if len(sizes) > 1 else []


def _size(packet: bytes, codec: str, ending: str) -> tuple[int, int]:
    """Size of the frame of a packet, as FFmpeg finds it; 0, 0 if not at all.

    Args:
        packet (bytes): A packet with a statement, or its start.
        codec (str): A name of ``_STATEMENTS``.
        ending (str): Of a file of such packets.

    Returns:
        tuple[int, int]: Width and height.
    """
    if ending == '.ivf':
        head = struct.pack(
            *('<4sHH4sHHIIII', b'DKIF', 0, 32, codec.encode(), 0, 0),
            *(25, 1, 1, 0),
        )
        packet = head + struct.pack('<IQ', len(packet), 0) + packet
    file, path = tempfile.mkstemp(ending)
    try:
        with open(file, 'wb') as whole:
            whole.write(packet)
        capture = cv2.VideoCapture(
            path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]
        )
        return (
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
    finally:
        os.remove(path)

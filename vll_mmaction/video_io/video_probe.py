"""Finds out all that the frame index holds of a video, by decoding it.

Numbers of frames in headers lie, and so do numbers of packets: of some no
frame is shown, of others two.
"""

import os
import stat
from collections.abc import Iterator

import av
from av.video.frame import PictureType

from .frame_convert import TURNS, FrameConverter, orientation, upright_size
from .frame_source import SEEK_COST
from .video_facts import KeyPacket, VideoFacts
from .video_file import BROADCASTS, VideoFile

# Codecs and containers that decord 0.6.0, whose FFmpeg is of 2018, fails at.
_DECORD_LACKS = ('av1', 'vvc', 'evc', 'apv', 'png', 'apng', 'gif', 'ivf')
# Pixel formats of which it makes the colours that FFmpeg makes today, beside
# yuv420p of even height.
_DECORD_CONVERTS = (
    'yuv422p yuvj422p yuv422p10le yuv444p yuvj444p gray gray16le gbrp bgr24 '
    'rgba argb bgra'
).split()


def probe_video(path: str, count: str = 'decode') -> VideoFacts:
    """Decode a video to its end.

    Meant for a subprocess: a decoder may crash or hang on a bad file.

    Args:
        path (str): Video file.
        count (str): ``'decode'``, or ``'packets'`` to decode the first frame
            only, and count packets: for files of which somebody knows that
            each packet is a frame. Defaults to ``'decode'``.

    Returns:
        VideoFacts: What was found. Never raises for what a file holds.
    """
    reason = _no_file(path)
    if reason:
        return VideoFacts(reason=reason)
    try:
        with VideoFile(path) as video:
            facts = (_by_packets if count == 'packets' else _by_frames)(video)
    except ValueError as error:
        return VideoFacts(reason=str(error).removeprefix(f'{path}: '))
    return facts if facts.frames else VideoFacts(reason='it has no frames')


def _no_file(path: str) -> str:
    """Why this is no file that can be read; '' if it is one."""
    try:
        status = os.stat(path)
        # A pipe or a device would be waited for.
        if not stat.S_ISREG(status.st_mode):
            return 'it is not a file'
        with open(path, 'rb'):
            pass
    except FileNotFoundError:
        return 'there is no such file' + hint_of_ending(path)
    except (OSError, ValueError) as error:
        cause = getattr(error, 'strerror', None) or str(error)
        return f'it cannot be read: {cause}'
    return '' if status.st_size else 'the file is empty'


def hint_of_ending(path: str) -> str:
    """What to do about a path without an ending; '' if it is not that."""
    if os.path.splitext(path)[1] or not os.path.exists(f'{path}.mp4'):
        return ''
    return (
        f', but {path}.mp4: write the ending in the list. (Of MMAction2, '
        'DecordInit appends it.)'
    )


def _by_frames(video: VideoFile) -> VideoFacts:
    """What decoding all frames tells."""
    packets: list[tuple] = []
    times: list = []
    keys: list[int] = []
    first = None
    size, known = (0, 0), ('', 0, 0)
    convert = FrameConverter()

    def noted() -> Iterator[av.Packet]:
        for packet in video.packets():
            packets.append((packet.pts, packet.dts, packet.is_keyframe))
            yield packet

    for frame in video.decode(noted()):
        looks = (frame.format.name, frame.width, frame.height)
        if looks != known:
            known = looks
            convert(frame)  # so that one that cannot be is found here
            if first is None:
                first, size = frame, upright_size(frame)
            elif upright_size(frame) != size:
                raise ValueError(
                    f'{video.path}: its frames change their size, from '
                    '{}x{} to {}x{}: cut or scale it to one'.format(
                        *size, *upright_size(frame)
                    )
                )
        if frame.key_frame and frame.pict_type == PictureType.I:
            keys.append(len(times))
        times.append(frame.pts)
    if first is None:
        return VideoFacts()
    return VideoFacts(
        frames=len(times),
        width=size[0],
        height=size[1],
        pixel_format=first.format.name,
        keys=_key_packets(packets, times, keys),
        decord=_of_decord(video, first, len(packets), len(times)),
    )


def _by_packets(video: VideoFile) -> VideoFacts:
    """What the packets tell, and the first frame."""
    frame = next(video.decode(video.packets()), None)
    if frame is None:
        return VideoFacts()
    FrameConverter()(frame)
    with VideoFile(video.path) as again:
        frames = sum(1 for packet in again.packets() if not packet.is_discard)
    width, height = upright_size(frame)
    return VideoFacts(
        frames=frames,
        width=width,
        height=height,
        pixel_format=frame.format.name,
        decord=_of_decord(video, frame, frames, frames),
    )


def _key_packets(
    packets: list[tuple], times: list, keys: list[int]
) -> tuple[KeyPacket, ...]:
    """Packets from which reading may begin.

    Args:
        packets (list[tuple]): Presentation time, decoding time and key flag
            of each.
        times (list): Presentation time of each frame.
        keys (list[int]): Numbers of the frames that stand for themselves.

    Returns:
        tuple[KeyPacket, ...]: In order, far enough from each other to be
        worth a seek. Empty unless the times increase.
    """
    if None in times or any(a >= b for a, b in zip(times, times[1:])):
        return ()
    of_time = {
        pts: dts
        for pts, dts, is_key in packets
        if is_key and None not in (pts, dts)
    }
    found: list[KeyPacket] = []
    for number in keys:
        last = found[-1].frame if found else 0
        if number - last >= SEEK_COST and times[number] in of_time:
            pts = times[number]
            found.append(KeyPacket(number, pts, of_time[pts]))
    return tuple(found)


def _of_decord(
    video: VideoFile, frame: av.VideoFrame, packets: int, frames: int
) -> str:
    """How decord's frames differ from these, by rule; '' if they don't."""
    container, stream = video.container, video.stream
    codec, kind = video.codec.codec.canonical_name, container.format.name
    name, steps = frame.format.name, orientation(frame)
    if codec in _DECORD_LACKS or kind in _DECORD_LACKS:
        return f'decord cannot read {codec} in {kind}'
    if kind in BROADCASTS:
        return 'decord may leave out frames of a transport or program stream'
    if not container.duration or container.duration < 0:
        return 'decord opens no file that does not state its duration'
    if packets != frames:
        return f'decord counts {packets} frames, there are {frames}'
    if container.streams.best('video') is not stream:
        return 'decord takes another of its video streams'
    if steps and steps not in TURNS:
        return 'decord does not mirror frames'
    is_halved = name in ('yuv420p', 'yuvj420p')
    if is_halved and frame.height % 2:
        return f'decord makes other colours of {name} of odd height'
    if not is_halved and name not in _DECORD_CONVERTS:
        return f'decord makes other colours of {name}'
    if '422' in name and steps:
        return f'decord makes other colours of {name} that is turned'
    return ''

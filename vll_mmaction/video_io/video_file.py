"""Opens a video file and decodes it, by FFmpeg's libraries through PyAV.

A file can be a list of others, or of addresses: FFmpeg would follow it. So
only formats that hold the video themselves are opened, and by the file system
alone.
"""

import os
from collections.abc import Iterator
from typing import Any, Optional, Union

import av
from av.stream import Disposition

# Demuxers of FFmpeg that read one file, and show what is in it.
FORMATS = (
    'amv apng asf av1 avi dirac dnxhd dv evc flv gif gxf h261 h263 h264 hevc '
    'ingenient ivf ivr live_flv m4v matroska mjpeg mjpeg_2000 mov mpeg '
    'mpegts mpegvideo mpjpeg mtv mv mxf nsv nut nuv obu ogg pva rm roq smk '
    'smjpeg swf ty vc1 vc1test vvc wtv wc3movie webp xmv yuv4mpegpipe'
).split()
# Transport and program streams, which may begin anywhere.
BROADCASTS = ('mpegts', 'mpeg')
# PyAV before 19 fails at names that are no UTF-8; 19 has no such argument.
METADATA: dict[str, Any] = (
    dict(metadata_errors='replace')
    if int(av.__version__.partition('.')[0]) < 19
    else {}
)
_OPTIONS = dict(protocol_whitelist='file', format_whitelist=','.join(FORMATS))


class VideoFile:
    """A video file that is open at its start, and the stream that is shown.

    That is the one that the ``ffmpeg`` program takes. It is decoded by one
    thread: loaders run a worker a core already.

    Args:
        path (str | os.PathLike): The file.

    Raises:
        ValueError: It cannot be opened, or has no video that can be decoded;
            the message names file and reason.
    """

    def __init__(self, path: Union[str, os.PathLike]) -> None:
        self.path = os.fspath(path)
        try:
            self.container = av.open(
                # Else a name like `http:x.mp4` would be an address.
                f'file:{self.path}',
                # Not `options`: PyAV 15 writes past the end of a list of
                # those where streams are found later, as in MPEG-TS.
                container_options=dict(_OPTIONS),
                **METADATA,
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise ValueError(
                f'{self.path}: it cannot be opened as a video: '
                f'{cause(error)}. It is damaged or in a format that is not '
                'read here; lists of other files and addresses are not '
                'followed.'
            ) from error
        try:
            self.stream = self._shown_stream()
        except ValueError:
            self.close()
            raise
        self.codec = self.stream.codec_context
        """av.VideoCodecContext: Its decoder."""
        self.codec.thread_count = 1
        # Else damage is filled in with what happens to be in memory.
        self.codec.options = {'err_detect': 'explode'}

    def _shown_stream(self) -> av.VideoStream:
        streams = self.container.streams.video
        if not streams:
            raise ValueError(f'{self.path}: it holds no video')
        if any(stream.codec_context is None for stream in streams):
            raise ValueError(
                f'{self.path}: it holds video of a codec that PyAV '
                f'{av.__version__} has no decoder for: convert it with a '
                'program that has one, or leave it out'
            )
        return max(streams, key=_rank)

    def packets(self) -> Iterator[av.Packet]:
        """The packets of the stream from here on.

        Raises:
            ValueError: The file cannot be read.
        """
        try:
            for packet in self.container.demux(self.stream):
                # An empty one stands for no frame, and ends the decoding.
                if packet.size:
                    yield packet
        except (av.FFmpegError, OSError, ValueError) as error:
            raise ValueError(
                f'{self.path}: it cannot be read on: {cause(error)}'
            ) from error

    def decode(self, packets: Iterator[av.Packet]) -> Iterator[av.VideoFrame]:
        """The frames of packets and, at their end, of the decoder.

        Args:
            packets (Iterator[av.Packet]): Of :meth:`packets`.

        Yields:
            av.VideoFrame: In order of presentation, those to be shown.

        Raises:
            ValueError: The decoder reports an error.
        """
        number, begins_late = 0, None
        for packet in packets:
            if begins_late is None:
                # As a recorded broadcast does, between two key frames.
                is_broadcast = self.container.format.name in BROADCASTS
                begins_late = is_broadcast and not packet.is_keyframe
            try:
                frames = self._decoded(packet, number)
            except ValueError:
                if not begins_late or number:
                    raise
                continue  # it lacks what came before
            for frame in frames:
                yield frame
                number += 1
        yield from self._decoded(None, number)

    def _decoded(
        self, packet: Optional[av.Packet], number: int
    ) -> list[av.VideoFrame]:
        try:
            return self.codec.decode(packet)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise ValueError(
                f'{self.path}: its {self.codec.name} video cannot be decoded '
                f'to the end, {cause(error)} after {number} frames. Get it '
                'anew, or convert it and look at what is lost.'
            ) from error

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def __enter__(self) -> 'VideoFile':
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _rank(stream: av.VideoStream) -> int:
    """By which the ``ffmpeg`` program chooses a stream."""
    if stream.disposition & Disposition.attached_pic:
        return 1
    is_default = bool(stream.disposition & Disposition.default)
    return stream.width * stream.height + 5_000_000 * is_default


def cause(error: Exception) -> str:
    """What went wrong, in a line, without the file's name."""
    text = getattr(error, 'strerror', None) or str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0][:200]

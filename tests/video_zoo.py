"""One small video of each kind, made by the encoders that PyAV brings along.

``KINDS`` names them; ``ZOO[name]`` tells how to make one, and what it is. What
their frames are is found by :func:`oracle_frames`, a plain decoder and filter
graph that shares nothing with the package, and by :func:`program_frames`, the
``ffmpeg`` program.
"""

import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.filter import Graph
from make_stand_in import pack_b_frames

from vll_mmaction.video_io.video_file import METADATA

SIZE = (96, 64)


@dataclass(frozen=True)
class Kind:
    """What a video of the zoo is.

    Args:
        make (Callable): Makes it, given a path.
        refused (str): Pattern of the reason why it cannot be used, '' if it
            can.
        stream (int): Number of the stream that is shown.
        filters (tuple[tuple[str, str], ...]): What turns it upright.
        needs (str): Encoder without which it cannot be made.
        differs (str): Why other versions of FFmpeg show other frames, '' if
            they do not.
    """

    make: Callable[[str], None]
    refused: str = ''
    stream: int = 0
    filters: tuple[tuple[str, str], ...] = ()
    needs: str = ''
    differs: str = ''


def pictures(num_frames, size=SIZE, seed=0):
    """Frames of a texture that moves, (H, W, 3) uint8, RGB."""
    width, height = size
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 18, 3)).astype(np.uint8)
    texture = cv2.resize(coarse, (2 * width, 2 * height))
    for number in range(num_frames):
        left = int(width * (0.5 + 0.45 * np.sin(number / 9)))
        top = int(height * (0.5 + 0.45 * np.cos(number / 13)))
        image = texture[top : top + height, left : left + width].copy()
        # Tells neighbours apart.
        image[:, number % width] = 255
        yield image


def add_encoder(
    container,
    codec,
    size=SIZE,
    pix_fmt='yuv420p',
    gop=12,
    b_frames=0,
    tag=None,
    base=25,
    **options,
):
    """A stream of a file, with its encoder."""
    stream = container.add_stream(codec, rate=25, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = pix_fmt
    stream.bit_rate = 400_000
    context = stream.codec_context
    context.time_base = Fraction(1, base)
    context.gop_size = gop
    context.thread_count = 1
    if b_frames is not None:
        context.max_b_frames = b_frames
    if tag:
        context.codec_tag = tag
    return stream


def encode(encoder, num_frames=24, times=None, seed=0, first=0):
    """The packets of frames, in a list.

    Args:
        encoder (av.VideoStream | av.CodecContext): Open or not.
        num_frames (int): Number of frames.
        times (Sequence[int], optional): When they are shown, in units of the
            encoder's time base. Defaults to one after the other.
        seed (int): Seed of the content.
        first (int): Time of the first.
    """
    context = getattr(encoder, 'codec_context', encoder)
    size, pix_fmt = (context.width, context.height), context.pix_fmt
    packets = []
    for number, image in enumerate(pictures(num_frames, size, seed)):
        frame = av.VideoFrame.from_ndarray(image, 'rgb24')
        frame = frame.reformat(format=pix_fmt)
        frame.time_base = context.time_base
        frame.pts = times[number] if times else first + number
        packets += encoder.encode(frame)
    return packets + encoder.encode(None)


def mux(container, packets, stream=None):
    """Write packets, which may be of another encoder than the stream's."""
    for packet in packets:
        packet.stream = stream or packet.stream
        container.mux(packet)


def simple(
    codec,
    num_frames=24,
    times=None,
    form=None,
    into=None,
    change=None,
    **kwargs,
):
    """A maker of files of one encoder's packets.

    Args:
        codec (str): FFmpeg's name of the encoder.
        num_frames (int): Number of frames.
        times (Sequence[int], optional): See :func:`encode`.
        form (str, optional): FFmpeg's name of the container.
        into (dict, optional): Options of the container.
        change (Callable, optional): What is done to the list of packets.
        kwargs (Any): See :func:`add_encoder`.
    """

    def make(path):
        with av.open(
            str(path), 'w', format=form, options=dict(into or {})
        ) as container:
            stream = add_encoder(container, codec, **kwargs)
            packets = encode(stream, num_frames, times)
            mux(container, change(packets) if change else packets)

    return make


def patched(make, change):
    """A maker of files whose bytes are changed."""

    def make_patched(path):
        make(path)
        Path(path).write_bytes(change(Path(path).read_bytes()))

    return make_patched


def turned(matrix, **kwargs):
    """A maker of MP4 files with a display matrix.

    Args:
        matrix (Sequence[float]): Its a, b, c, d.
        kwargs (Any): See :func:`encode`.
    """
    a, b, c, d = (round(x * (1 << 16)) for x in matrix)
    numbers = struct.pack('>9i', a, b, 0, c, d, 0, 0, 0, 1 << 30)

    def change(data):
        at = data.index(b'tkhd') + 4 + 40
        return data[:at] + numbers + data[at + 36 :]

    return patched(simple('libx264', **kwargs), change)


def hide_first(number):
    """Edit an MP4 file's edit list: the first frames are not shown."""

    def change(data):
        at = data.index(b'elst') + 4 + 8
        duration, start = struct.unpack('>Ii', data[at : at + 8])
        mdhd = data.index(b'mdhd') + 4 + 12
        scale = struct.unpack('>I', data[mdhd : mdhd + 4])[0]
        start += number * scale // 25
        return data[: at + 4] + struct.pack('>i', start) + data[at + 8 :]

    return change


def two_streams(*sizes):
    """A maker of files with several video streams."""

    def make(path):
        with av.open(str(path), 'w') as container:
            streams = [
                add_encoder(container, 'mpeg4', size=size) for size in sizes
            ]
            encoded = [encode(x, seed=k) for k, x in enumerate(streams)]
            for packets in zip(*encoded):
                mux(container, packets)

    return make


def with_cover(path):
    """A video behind a cover picture that is larger."""
    with av.open(str(path), 'w') as container:
        cover = add_encoder(container, 'mjpeg', (640, 480), 'yuvj420p')
        cover.disposition = av.stream.Disposition.attached_pic.value
        stream = add_encoder(container, 'mpeg4')
        packets = encode(stream)
        mux(container, encode(cover, 1))
        mux(container, packets)


def tone(container):
    """A stream of silence, and its packets."""
    sound = container.add_stream('aac', rate=16000, layout='mono')
    frame = av.AudioFrame.from_ndarray(
        np.zeros((1, 16000), np.float32), 'fltp', 'mono'
    )
    frame.sample_rate, frame.pts = 16000, 0
    return sound.encode(frame) + sound.encode(None)


def with_sound(path):
    """A video behind a tone."""
    with av.open(str(path), 'w') as container:
        packets = tone(container)
        packets += encode(add_encoder(container, 'libx264'))
        mux(container, packets)


def only_sound(path):
    """A tone."""
    with av.open(str(path), 'w') as container:
        mux(container, tone(container))


def changing(codec, *parts):
    """A maker of files that another encoder goes on with.

    Args:
        codec (str): FFmpeg's name of the encoder.
        parts (dict): Attributes of the encoder of each part.
    """

    def make(path):
        with av.open(str(path), 'w') as container:
            first = parts[0]
            stream = add_encoder(
                container,
                codec,
                (first['width'], first['height']),
                first['pix_fmt'],
            )
            for number, part in enumerate(parts):
                encoder = av.CodecContext.create(codec, 'w')
                encoder.time_base, encoder.framerate = Fraction(1, 25), 25
                encoder.thread_count = 1
                for name, value in part.items():
                    setattr(encoder, name, value)
                packets = encode(encoder, 10, first=10 * number)
                mux(container, packets, stream)

    return make


def later(gap_at, gap):
    """Packets of which some come later: AVI fills up with empty ones."""

    def change(packets):
        for packet in packets[gap_at:]:
            packet.dts += gap
            packet.pts += gap
        return packets

    return change


def text(content):
    """A maker of text files."""
    return lambda path: Path(path).write_text(content)


def picture(path):
    """A PNG picture."""
    cv2.imwrite(f'{path}.png', np.full((64, 96, 3), 99, np.uint8))
    Path(f'{path}.png').rename(path)


def cut(share):
    """What a broken copy leaves of a file."""
    return lambda data: data[: int(share * len(data))]


def drop(number):
    """Without the first packets."""
    return lambda packets: packets[number:]


def times(num_frames):
    """Milliseconds at which frames of a varying rate are shown."""
    rng = np.random.default_rng(0)
    return np.cumsum(rng.integers(10, 120, num_frames)).tolist()


X265 = dict(codec='libx265', num_frames=100)
QUIET = 'log-level=none:pools=none:frame-threads=1'
CLOCK, CCLOCK = ('transpose', 'clock'), ('transpose', 'cclock')
HFLIP, VFLIP = ('hflip', ''), ('vflip', '')
UNREAD = 'cannot be opened as a video'
SMALL = dict(width=96, height=64, pix_fmt='yuv420p')
LONG = dict(num_frames=120, gop=12)

ZOO: dict[str, Kind] = {
    # MPEG-4, as XviD and DivX write it
    'xvid.avi': Kind(simple('mpeg4', tag='XVID', **LONG)),
    'xvid_b.avi': Kind(simple('mpeg4', tag='XVID', b_frames=2, **LONG)),
    'xvid_packed_b.avi': Kind(
        simple('mpeg4', tag='XVID', b_frames=1, change=pack_b_frames)
    ),
    'xvid_dropped.avi': Kind(simple('mpeg4', tag='XVID', change=later(9, 2))),
    'xvid_cut_off.avi': Kind(
        patched(simple('mpeg4', tag='XVID', num_frames=60), cut(0.6)),
        refused='its mpeg4 video cannot be decoded to the end, .* 32 frames',
    ),
    'mpeg4_b.mp4': Kind(simple('mpeg4', b_frames=2, **LONG)),
    'mpeg4_odd.avi': Kind(simple('mpeg4', size=(91, 67), tag='XVID')),
    'msmpeg4.avi': Kind(simple('msmpeg4', tag='DIV3')),
    'h263.3gp': Kind(simple('h263', size=(176, 144))),
    'sorenson.flv': Kind(simple('flv')),
    # H.264
    'h264.mp4': Kind(simple('libx264', **LONG)),
    'h264_b.mp4': Kind(simple('libx264', b_frames=2, **LONG)),
    'h264_b.mkv': Kind(simple('libx264', b_frames=2, **LONG)),
    'h264_one_key.mp4': Kind(simple('libx264', gop=250, b_frames=2)),
    'h264_open_gop.mp4': Kind(
        simple(
            'libx264',
            **{'x264-params': 'open-gop=1:bframes=3:scenecut=0'},
            **LONG,
            b_frames=None,
        )
    ),
    'h264_refresh.mp4': Kind(
        simple(
            'libx264',
            **{'x264-params': 'intra-refresh=1:keyint=60:scenecut=0'},
            num_frames=150,
            gop=60,
        )
    ),
    'h264.ts': Kind(simple('libx264', **LONG)),
    'h264_begins_late.ts': Kind(
        simple(
            'libx264',
            b_frames=2,
            change=drop(5),
            **LONG,
        )
    ),
    'h264_raw.h264': Kind(simple('libx264')),
    'h264_varying.mp4': Kind(
        simple('libx264', times=times(120), base=1000, b_frames=2, **LONG)
    ),
    'h264_varying.mkv': Kind(
        simple('libx264', times=times(120), base=1000, b_frames=2, **LONG)
    ),
    'h264_fragmented.mp4': Kind(
        simple(
            'libx264',
            into=dict(movflags='frag_keyframe+empty_moov+default_base_moof'),
            b_frames=2,
            **LONG,
        )
    ),
    'h264_hidden.mp4': Kind(
        patched(simple('libx264', b_frames=2, **LONG), hide_first(18))
    ),
    'h264_hidden.mov': Kind(
        patched(simple('libx264', b_frames=2, **LONG), hide_first(31))
    ),
    'h264_interlaced.mp4': Kind(
        simple('libx264', flags='+ildct+ilme', **{'x264-params': 'tff=1'})
    ),
    'h264_odd.ts': Kind(simple('mpeg4', size=(91, 67), form='mpegts')),
    'h264_gray.mp4': Kind(simple('libx264', pix_fmt='gray')),
    'h264_rgb.mp4': Kind(simple('libx264rgb', pix_fmt='rgb24')),
    'h264_422.mp4': Kind(simple('libx264', pix_fmt='yuv422p')),
    'h264_444.mp4': Kind(simple('libx264', pix_fmt='yuv444p')),
    'h264_444_odd.mp4': Kind(
        simple('libx264', pix_fmt='yuv444p', size=(91, 67))
    ),
    'h264_10bit.mp4': Kind(simple('libx264', pix_fmt='yuv420p10le')),
    'h264_422_10bit.mkv': Kind(simple('libx264', pix_fmt='yuv422p10le')),
    'h264_sound.mp4': Kind(with_sound, stream=1),
    'h264_cut_off.mp4': Kind(
        patched(simple('libx264'), cut(0.7)), refused=UNREAD
    ),
    'h264_cut_off.mkv': Kind(patched(simple('libx264'), cut(0.7))),
    'h264_still.mp4': Kind(simple('libx264', num_frames=1)),
    # Colours by tags
    'bt709.mp4': Kind(simple('libx264', colorspace='bt709')),
    'bt709_full.mp4': Kind(
        simple('libx264', colorspace='bt709', color_range='pc')
    ),
    'full.mp4': Kind(simple('libx264', color_range='pc')),
    'smpte240m.mp4': Kind(simple('libx264', colorspace='smpte240m')),
    'fcc.mkv': Kind(simple('libx264', colorspace='fcc')),
    'bt2020_10bit.mp4': Kind(
        simple('libx264', pix_fmt='yuv420p10le', colorspace='bt2020nc')
    ),
    'bt2020.mp4': Kind(simple('libx264', colorspace='bt2020nc')),
    'ycgco.mp4': Kind(
        simple('libx264', pix_fmt='yuv444p', colorspace='ycgco'),
        refused='matrix 8',
    ),
    # HEVC, AV1, VP8, VP9
    'hevc.mp4': Kind(simple(**X265, **{'x265-params': QUIET + ':keyint=12'})),
    'hevc_open_gop.mp4': Kind(
        simple(
            **X265,
            b_frames=None,
            **{'x265-params': QUIET + ':keyint=12:open-gop=1:bframes=3'},
        )
    ),
    'hevc_begins_late.ts': Kind(
        simple(
            **X265,
            b_frames=None,
            change=drop(7),
            **{
                'x265-params': QUIET
                + ':keyint=12:open-gop=1:bframes=3:repeat-headers=1'
            },
        ),
        differs='which frames without a reference are shown',
    ),
    'hevc_10bit.mkv': Kind(
        simple(
            **{**X265, 'num_frames': 24},
            pix_fmt='yuv420p10le',
            **{'x265-params': QUIET},
        )
    ),
    'av1.mp4': Kind(
        simple('libsvtav1', preset='12', num_frames=24), needs='libsvtav1'
    ),
    'av1_hidden.webm': Kind(
        simple(
            'libaom-av1',
            num_frames=70,
            **{'cpu-used': '8', 'lag-in-frames': '25', 'usage': 'good'},
        ),
        needs='libaom-av1',
    ),
    'vp9.webm': Kind(simple('libvpx-vp9', deadline='realtime', **LONG)),
    'vp9_no_duration.webm': Kind(
        simple('libvpx-vp9', deadline='realtime', into=dict(live='1'))
    ),
    'vp9_alpha.webm': Kind(
        simple('libvpx-vp9', deadline='realtime', pix_fmt='yuva420p')
    ),
    'vp9_444.webm': Kind(
        simple('libvpx-vp9', deadline='realtime', pix_fmt='yuv444p')
    ),
    'vp8.webm': Kind(simple('libvpx', deadline='realtime', **LONG)),
    'vp8_hidden.webm': Kind(
        simple(
            'libvpx',
            num_frames=120,
            gop=40,
            **{'auto-alt-ref': '1', 'lag-in-frames': '16', 'cpu-used': '5'},
        )
    ),
    'vp9.ivf': Kind(simple('libvpx-vp9', deadline='realtime')),
    # MPEG-1, MPEG-2, DV
    'mpeg1.mpg': Kind(simple('mpeg1video', b_frames=2, **LONG)),
    'mpeg2.ts': Kind(simple('mpeg2video', b_frames=2, **LONG)),
    'mpeg2_begins_late.ts': Kind(
        simple(
            'mpeg2video',
            b_frames=2,
            change=drop(9),
            **LONG,
        )
    ),
    'mpeg2_open_gop.mpg': Kind(
        simple(
            'mpeg2video',
            b_frames=2,
            form='vob',
            change=drop(13),
            **LONG,
        )
    ),
    'mpeg2_interlaced.mkv': Kind(simple('mpeg2video', flags='+ildct+ilme')),
    'mpeg2_422.mkv': Kind(simple('mpeg2video', pix_fmt='yuv422p')),
    'dv_411.dv': Kind(
        simple(
            'dvvideo',
            num_frames=3,
            size=(720, 480),
            pix_fmt='yuv411p',
        )
    ),
    # Pictures one by one
    'mjpeg.avi': Kind(simple('mjpeg', pix_fmt='yuvj420p', num_frames=100)),
    'mjpeg_422.avi': Kind(simple('mjpeg', pix_fmt='yuvj422p')),
    'mjpeg_changes.avi': Kind(
        changing(
            'mjpeg',
            SMALL | dict(pix_fmt='yuvj422p'),
            SMALL | dict(pix_fmt='yuvj420p'),
        )
    ),
    'png.mov': Kind(simple('png', pix_fmt='rgb24')),
    'png_alpha.mov': Kind(simple('png', pix_fmt='rgba')),
    'qtrle_alpha.mov': Kind(simple('qtrle', pix_fmt='argb')),
    'prores.mov': Kind(simple('prores_ks', pix_fmt='yuv422p10le')),
    'prores_4444.mov': Kind(simple('prores_ks', pix_fmt='yuva444p10le')),
    'mpeg2.mxf': Kind(simple('mpeg2video', pix_fmt='yuv422p')),
    'ffv1_410.mkv': Kind(simple('ffv1', pix_fmt='yuv410p')),
    'ffv1_411.mkv': Kind(simple('ffv1', pix_fmt='yuv411p')),
    'ffv1_440.mkv': Kind(simple('ffv1', pix_fmt='yuv440p')),
    'ffv1_16bit.mkv': Kind(simple('ffv1', pix_fmt='gray16le')),
    'ffv1_gbr.mkv': Kind(simple('ffv1', pix_fmt='gbrp10le')),
    'ffv1_odd.mkv': Kind(simple('ffv1', size=(91, 67))),
    'huffyuv.avi': Kind(simple('huffyuv', pix_fmt='yuv422p')),
    'raw_bgr.avi': Kind(simple('rawvideo', pix_fmt='bgr24')),
    'v210.mov': Kind(simple('v210', pix_fmt='yuv422p10le')),
    'gif.gif': Kind(simple('gif', pix_fmt='rgb8')),
    'apng.apng': Kind(simple('apng', pix_fmt='rgb24')),
    # Turned and mirrored
    'turn_90.mp4': Kind(turned((0, 1, -1, 0)), filters=(CLOCK,)),
    'turn_180.mp4': Kind(turned((-1, 0, 0, -1)), filters=(HFLIP, VFLIP)),
    'turn_270.mp4': Kind(turned((0, -1, 1, 0)), filters=(CCLOCK,)),
    'mirror_x.mp4': Kind(turned((-1, 0, 0, 1)), filters=(HFLIP,)),
    'mirror_y.mp4': Kind(turned((1, 0, 0, -1)), filters=(VFLIP,)),
    'transpose.mp4': Kind(
        turned((0, 1, 1, 0)), filters=(('transpose', 'cclock_flip'),)
    ),
    'transverse.mp4': Kind(
        turned((0, -1, -1, 0)), filters=(('transpose', 'clock_flip'),)
    ),
    'turn_90_422.mp4': Kind(
        turned((0, 1, -1, 0), pix_fmt='yuv422p'), filters=(CLOCK,)
    ),
    'turn_90_444_odd.mp4': Kind(
        turned((0, 1, -1, 0), pix_fmt='yuv444p', size=(91, 67)),
        filters=(CLOCK,),
    ),
    'turn_45.mp4': Kind(turned((0.7, 0.7, -0.7, 0.7)), refused='45 degrees'),
    # Several streams
    'second_is_larger.mkv': Kind(two_streams((64, 48), (128, 96)), stream=1),
    'first_is_larger.mp4': Kind(two_streams((128, 96), (64, 48))),
    'cover_first.mp4': Kind(with_cover),
    # Not to be used
    'size_changes.avi': Kind(
        changing('mpeg4', SMALL, SMALL | dict(width=64, height=48)),
        refused='change their size, from 96x64 to 64x48',
    ),
    'size_changes.ts': Kind(
        changing('mpeg2video', SMALL, SMALL | dict(width=128, height=96)),
        refused='change their size, from 96x64 to 128x96',
    ),
    'unknown_codec.avi': Kind(
        patched(
            simple('mpeg4', tag='XVID'),
            lambda data: data.replace(b'XVID', b'ZZZZ'),
        ),
        refused='codec',
    ),
    'only_sound.mp4': Kind(only_sound, refused='holds no video'),
    'text.mp4': Kind(text('no video'), refused=UNREAD),
    'empty.mp4': Kind(text(''), refused='the file is empty'),
    'list_of_videos.mp4': Kind(
        text('ffconcat version 1.0\nfile xvid.avi\n'), refused=UNREAD
    ),
    'playlist.mp4': Kind(
        text('#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nh264.ts\n'),
        refused=UNREAD,
    ),
    'picture.mp4': Kind(picture, refused=UNREAD),
}
KINDS = list(ZOO)
GOOD = [name for name in KINDS if not ZOO[name].refused]


def make(name, folder):
    """Make a video of the zoo.

    Args:
        name (str): One of ``KINDS``.
        folder (pathlib.Path): Where to.

    Returns:
        str, optional: Its path; None without the encoder that it needs.
    """
    kind = ZOO[name]
    if kind.needs and kind.needs not in av.codec.codecs_available:
        return None
    kind.make(str(folder / name))
    return str(folder / name)


def oracle_frames(path, kind):
    """All frames, by a plain decoder and a filter graph a frame format.

    Args:
        path (str): The file.
        kind (Kind): What it is.

    Returns:
        np.ndarray: (n, H, W, 3) uint8, RGB.
    """
    graphs, found = {}, []
    with av.open(path, **METADATA) as container:
        stream = container.streams[kind.stream]
        # With several, what becomes of a damaged frame is chance.
        stream.codec_context.thread_count = 1
        for frame in frames_of(container, stream):
            key = (
                *(frame.format.name, frame.width, frame.height),
                *(int(frame.colorspace), int(frame.color_range)),
            )
            if key not in graphs:
                graphs[key] = plain_graph(*key, kind.filters)
            graphs[key].vpush(frame)
            found.append(graphs[key].vpull().to_ndarray(format='rgb24'))
    return np.stack(found)


def frames_of(container, stream):
    """Decode a stream, whose empty packets are no end."""
    for packet in container.demux(stream):
        if packet.size:
            yield from packet.decode()
    yield from stream.codec_context.decode(None)


def plain_graph(pix_fmt, width, height, colorspace, color_range, filters):
    """Turns frames upright and makes RGB of them."""
    graph = Graph()
    nodes = [
        graph.add(
            'buffer',
            f'video_size={width}x{height}:pix_fmt={pix_fmt}:time_base=1/25:'
            f'colorspace={colorspace}:range={color_range}',
        )
    ]
    nodes += [graph.add(name, value) for name, value in filters]
    nodes += [graph.add('format', 'rgb24'), graph.add('buffersink')]
    graph.link_nodes(*nodes).configure()
    return graph


def program_frames(path, size):
    """All frames, by the ``ffmpeg`` program.

    Args:
        path (str): The file.
        size (tuple[int, int]): Width and height of the upright frames.

    Returns:
        np.ndarray: (n, H, W, 3) uint8, RGB.
    """
    done = subprocess.run(
        f'ffmpeg -v quiet -i file:{path} -an -vsync passthrough '
        '-f rawvideo -pix_fmt rgb24 -'.split(),
        capture_output=True,
    )
    width, height = size
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


if __name__ == '__main__':
    for each in KINDS:
        make(each, Path(sys.argv[1]))

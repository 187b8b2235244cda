"""A frame size that changes in mid-stream is noticed without decoding."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import av
import pytest
from video_files import write_parts, write_video

from vll_mmaction.video_io import probe_worker
from vll_mmaction.video_io.stream_sizes import stream_sizes

# libx265 overwrites memory with smaller ones.
LARGE, SMALL = dict(width=192, height=128), dict(width=96, height=64)
H264 = dict(codec='libx264')
X265 = {'codec': 'libx265', 'x265-params': 'log-level=none'}
CHANGING = {
    'h264.ts': H264,
    'h264.mp4': H264,
    'h264.mkv': H264,
    'h264.flv': H264,
    'h264_b.avi': dict(H264, bf='2'),
    'hevc.ts': X265,
    'hevc.mp4': X265,
    'mpeg4.avi': dict(codec='mpeg4'),
    'mpeg4_b.mkv': dict(codec='mpeg4', bf='2'),
    'mpeg1.mpg': dict(codec='mpeg1video'),
    'mpeg2.ts': dict(codec='mpeg2video'),
    'mjpeg.avi': dict(codec='mjpeg', pix_fmt='yuvj420p'),
    'vp8.webm': dict(codec='libvpx'),
    'vp9.webm': dict(codec='libvpx-vp9'),
}
# Other words on the size: larger, cropped otherwise, back again.
PARTS = {
    'larger.ts': [SMALL, LARGE],
    'turned.ts': [LARGE, dict(width=128, height=192)],
    'cropped.ts': [LARGE, dict(width=192, height=126)],
    'back.ts': [LARGE, SMALL, LARGE],
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sizes')
    files = {name: dict(H264, parts=parts) for name, parts in PARTS.items()}
    for name, options in CHANGING.items():
        files[name] = dict(options, parts=[LARGE, SMALL])
        files[f'same_{name}'] = dict(options, parts=[LARGE, LARGE])
    # In a process that does not load decord, since libvpx then fails.
    spawn = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, spawn) as pool:
        written = [
            pool.submit(write_parts, folder / name, **options)
            for name, options in files.items()
        ]
        for one in written:
            one.result()
    return folder


def decoded_sizes(path):
    """What a decoder that looks at each frame finds."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return list(dict.fromkeys((f.width, f.height) for f in frames))


@pytest.mark.parametrize('name', [*CHANGING, *PARTS])
def test_a_change_is_noticed(folder, name):
    path = str(folder / name)
    sizes = decoded_sizes(path)
    assert len(sizes) == 2
    assert stream_sizes(path) == sizes
    (w, h), (w2, h2) = sizes
    assert probe_worker.probe(path) == {
        'reason': f'its frames change their size: {w}x{h}, then {w2}x{h2}'
    }


@pytest.mark.parametrize('name', CHANGING)
def test_one_size_is_none(folder, name):
    path = str(folder / f'same_{name}')
    assert len(decoded_sizes(path)) == 1
    assert stream_sizes(path) == []
    assert probe_worker.probe(path)['frames'] > 20


def test_other_statements_of_one_size_are_no_change(tmp_path):
    """Only the profile differs, and with it the bytes that state the size."""
    parts = [dict(LARGE, profile=name) for name in ('High', 'Baseline')]
    path = write_parts(tmp_path / 'profiles.ts', 'libx264', parts)
    with av.open(path) as container:
        starts = {
            bytes(packet)[10:14]
            for packet in container.demux(video=0)
            if packet.is_keyframe and packet.size
        }
    assert len(starts) == 2
    assert stream_sizes(path) == []


def test_a_codec_that_states_none(tmp_path):
    path = write_video(tmp_path / 'wmv.avi', 9, fourcc='WMV2')
    assert stream_sizes(path) == []
    (tmp_path / 'text.avi').write_text('text')
    assert stream_sizes(str(tmp_path / 'text.avi')) == []

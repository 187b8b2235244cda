"""Frames in 4:2:0 get the same pixels by swscale and by the compiled part."""

import ctypes
import gc
import mmap

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmaction.registry import TRANSFORMS
from video_files import write_video

from vll_mmaction.video_io import fast_resize, frame_convert
from vll_mmaction.video_io.clip_array import InterleavedClips, PlanarClips
from vll_mmaction.video_io.clip_geometry import ClipGeometry
from vll_mmaction.video_io.fast_resize import FastResize
from vll_mmaction.video_io.frame_convert import FrameConverter
from vll_mmaction.video_io.frame_source import read_frames, read_lazy_frames
from vll_mmaction.video_io.yuv_frame import (
    MATRICES,
    YuvFrame,
    colour_factors,
)

compiled = pytest.mark.skipif(
    fast_resize.resize_crop is None,
    reason='not compiled: no C compiler, or no x86-64 with AVX2',
)
COLOURS = [
    *((matrix, span, 'yuv420p') for matrix in MATRICES for span in (0, 1, 2)),
    *((matrix, 2, 'yuvj420p') for matrix in MATRICES),
]
every_colour = pytest.mark.parametrize(
    ('matrix', 'span', 'pixel_format'), COLOURS
)


def noise_frame(width, height, matrix=2, span=0, pixel_format='yuv420p'):
    """A frame of noise, also between the rows of its planes."""
    frame = av.VideoFrame(width, height, pixel_format)
    rng = np.random.default_rng(0)
    for plane in frame.planes:
        values = np.frombuffer(plane, np.uint8)
        values[:] = rng.integers(0, 256, values.size)
    frame.colorspace, frame.color_range = matrix, span
    return frame


def rows_of(plane):
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)


def whole(frame):
    """All pixels of a lazy frame by the compiled part, BGR."""
    assert isinstance(frame, YuvFrame)
    height, width, _ = frame.shape
    found = np.empty(frame.shape, np.uint8)
    size = width, height
    FastResize(size, size, (0, 0, *size), False)(
        frame, found.transpose(2, 0, 1)[::-1]
    )
    return found


@every_colour
def test_what_a_filter_graph_makes_of_it(matrix, span, pixel_format):
    frame = noise_frame(90, 64, matrix, span, pixel_format)
    convert = FrameConverter()
    assert frame_convert._is_plain(frame)
    graph = frame_convert._pixels(convert._filtered(frame, ()))
    np.testing.assert_array_equal(convert(frame), graph[..., ::-1])


@compiled
@every_colour
def test_every_blue_and_red_and_black_and_white(matrix, span, pixel_format):
    """All pairs of U and V, with a Y of each quarter and the ends."""
    for start in 0, 64, 128, 192:
        frame = noise_frame(512, 512, matrix, span, pixel_format)
        y, u, v = map(rows_of, frame.planes)
        y[:] = y // 4 + start
        y[:, ::7] = 255 * (start > 64)
        u[:256, :256] = np.arange(256)
        v[:256, :256] = np.arange(256)[:, None]
        convert = FrameConverter()
        lazy = convert.lazily(frame)
        np.testing.assert_array_equal(whole(lazy), convert(frame))


@compiled
@pytest.mark.parametrize('width', [*range(2, 72, 2), 318, 320, 322, 854])
def test_any_width(width):
    convert, frame = FrameConverter(), noise_frame(width, 18)
    lazy = convert.lazily(frame)
    assert lazy.shape == (18, width, 3)
    np.testing.assert_array_equal(whole(lazy), convert(frame))
    np.testing.assert_array_equal(lazy.bgr, convert(frame))


@compiled
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_crop_before_and_after_the_resize(data):
    def span(length):
        start = data.draw(st.integers(0, length - 1))
        return start, data.draw(st.integers(start + 1, length))

    width, height = (2 * data.draw(st.integers(1, 100)) for _ in range(2))
    (left, right), (top, bottom) = span(width), span(height)
    size = tuple(data.draw(st.integers(1, 200)) for _ in range(2))
    (box_left, box_right), (box_top, box_bottom) = map(span, size)
    convert, frame = FrameConverter(), noise_frame(width, height)
    args = (
        (right - left, bottom - top),
        size,
        (box_left, box_top, box_right, box_bottom),
        data.draw(st.booleans()),
    )
    shape = box_bottom - box_top, box_right - box_left
    found, wanted, stock = (np.empty((3, *shape), np.uint8) for _ in range(3))
    fast = FastResize(*args, (left, top))
    fast(convert.lazily(frame), found)
    fast(convert(frame), stock)
    # Both are of a part of the frame that OpenCV could be given.
    part = convert(frame)[top:bottom, left:right]
    FastResize(*args)(part, wanted)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(stock, wanted)


CROP = dict(type='RandomCrop', size=31)
RESIZE = dict(type='Resize', scale=(-1, 48))
SMALL = dict(type='Resize', scale=(20, 24), keep_ratio=False)
FLIP = dict(type='Flip', flip_ratio=1.0)


@pytest.mark.parametrize(
    'transforms',
    [
        [],
        [RESIZE],
        [RESIZE, CROP],
        [RESIZE, CROP, FLIP],
        [CROP, CROP],
        [CROP, SMALL, FLIP],
        [dict(CROP, size=51), CROP, SMALL],
        [RESIZE, CROP, SMALL],
        [FLIP, SMALL],
        [RESIZE, dict(FLIP, direction='vertical')],
        [dict(type='MultiScaleCrop', input_size=33), SMALL, FLIP],
    ],
)
def test_clips_are_those_of_converted_frames(transforms):
    convert, frame = FrameConverter(), noise_frame(90, 64)
    assert (convert(frame)[:2, :2] != convert(frame)[2:4, 2:4]).any()
    built = [TRANSFORMS.build(transform) for transform in transforms]
    for seed in range(4):
        np.random.seed(seed)
        found = ClipGeometry(built, dict(img_shape=(64, 90), modality='RGB'))
        wanted = found.apply(convert(frame))
        np.testing.assert_array_equal(
            found.apply(convert.lazily(frame)), wanted
        )
        for kind in PlanarClips, InterleavedClips:
            clips = kind(1, 2, found.shape)
            for resized in None, {}:
                found.write(convert.lazily(frame), clips, 1, resized)
                np.testing.assert_array_equal(clips.imgs[1], wanted[..., ::-1])
                clips.imgs[1][:] = 0


# ---------------------------------------------------- where it is not taken


def test_other_frames_are_converted_at_once():
    convert = FrameConverter()
    for frame in (
        noise_frame(91, 64),
        noise_frame(90, 63),
        noise_frame(90, 64, pixel_format='yuv422p'),
        noise_frame(90, 64, span=1, pixel_format='yuvj420p'),
    ):
        np.testing.assert_array_equal(convert.lazily(frame), convert(frame))


def test_without_a_compiler(monkeypatch, tmp_path):
    path = write_video(tmp_path / 'a.avi', 5, fourcc='XVID')
    numbers = np.asarray([1, 2, 4])
    before = [(n, frame.copy()) for n, frame in read_frames(path, numbers)]
    monkeypatch.setattr(fast_resize, 'resize_crop', None)
    found = list(read_lazy_frames(path, numbers))
    for (number, frame), (wanted_number, wanted) in zip(found, before):
        assert number == wanted_number
        np.testing.assert_array_equal(frame, wanted)
    assert len(found) == len(before)


@compiled
def test_a_swscale_that_gives_other_pixels(monkeypatch):
    convert, frame = FrameConverter(), noise_frame(90, 64)
    assert isinstance(convert.lazily(frame), YuvFrame)

    def other(*args):
        *rest, red = colour_factors(*args)
        return (*rest, red + 8)

    frame_convert._exact_factors.cache_clear()
    monkeypatch.setattr(frame_convert, 'colour_factors', other)
    np.testing.assert_array_equal(convert.lazily(frame), convert(frame))
    frame_convert._exact_factors.cache_clear()


# --------------------------------------------------------- what C is handed


def tables(width, height):
    size = width, height
    return FastResize(size, size, (0, 0, *size), False)._tables


@compiled
@pytest.mark.parametrize('width', [2, 6, 30, 32, 34, 62, 64, 66, 98])
def test_nothing_behind_the_planes_is_read(width):
    """Each plane ends where the process may not read on."""
    height, page = 6, mmap.PAGESIZE
    frame = noise_frame(width, height)
    wanted = FrameConverter()(frame)
    buffers, strides = [], []
    for plane in frame.planes:
        stride = plane.width + 3
        memory = mmap.mmap(-1, 2 * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        behind = ctypes.c_void_p(start + page)
        assert not protect(behind, ctypes.c_size_t(page), 0)
        count = stride * (plane.height - 1) + plane.width
        rows = rows_of(plane)[:, : plane.width]
        for number, row in enumerate(rows):
            at = page - count + number * stride
            memory[at : at + plane.width] = row.tobytes()
        buffers.append(memoryview(memory)[page - count : page])
        strides.append(stride)
    source = (
        *((width, height), tuple(buffers), tuple(strides)),
        colour_factors(2, False),
    )
    found = np.empty((height, width, 3), np.uint8)
    planes = found.transpose(2, 0, 1)[::-1]
    fast_resize.resize_crop(source, *tables(width, height), planes, False)
    np.testing.assert_array_equal(found, wanted)


@compiled
def test_planes_that_do_not_fit_are_refused():
    width, height = 20, 10
    planes = np.empty((3, height, width), np.uint8)
    y, u, v = bytes(200), bytes(50), bytes(50)
    factors = colour_factors(2, False)
    good = (width, height), (y, u, v), (20, 10, 10), factors

    def call(source):
        fast_resize.resize_crop(source, *tables(20, 10), planes, False)

    call(good)
    for error, place, bad in (
        (ValueError, 0, (18, 10)),
        (ValueError, 0, (20, 8)),
        (ValueError, 0, (20, 12)),
        (ValueError, 0, (0, 10)),
        (ValueError, 0, (-20, -10)),
        (ValueError, 1, (y[:-1], u, v)),
        (ValueError, 1, (y, u[:-1], v)),
        (ValueError, 1, (y, u, b'')),
        (ValueError, 2, (19, 10, 10)),
        (ValueError, 2, (20, 10, 0)),
        (ValueError, 2, (-20, 10, 10)),
        (ValueError, 2, (2**62, 10, 10)),
        (TypeError, 1, (y, u)),
        (TypeError, 1, (y, u, None)),
        (TypeError, 3, factors[1:]),
        (OverflowError, 3, (2**15, *factors[1:])),
    ):
        source = list(good)
        source[place] = bad
        with pytest.raises(error):
            call(tuple(source))
    with pytest.raises(TypeError):
        call(good[1:])


def test_frames_that_were_read_are_given_back(tmp_path):
    """At once: the garbage collector need not find them."""
    path = write_video(tmp_path / 'a.avi', 30, fourcc='XVID')
    gc.collect()
    gc.disable()
    try:
        for read in read_frames, read_lazy_frames:
            for _ in read(path, np.arange(30)):
                pass
            kinds = map(type, gc.get_objects())
            assert sum(kind is av.VideoFrame for kind in kinds) < 3
    finally:
        gc.enable()

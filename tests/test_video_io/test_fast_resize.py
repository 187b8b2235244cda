"""One pass gives the pixels that OpenCV's calls give, or is not taken."""

import ctypes
import mmap

import cv2
import mmcv
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmaction.registry import TRANSFORMS

from vll_mmaction.video_io import fast_resize
from vll_mmaction.video_io.clip_array import InterleavedClips, PlanarClips
from vll_mmaction.video_io.clip_geometry import ClipGeometry
from vll_mmaction.video_io.fast_resize import FastResize

compiled = pytest.mark.skipif(
    fast_resize.resize_crop is None,
    reason='not compiled: no C compiler, or no x86-64 with AVX2',
)
SIDE = st.integers(1, 300)
SIZE = (90, 64)


def noise(width, height, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_opencv(frame, size, box, flip):
    left, top, right, bottom = box
    image = cv2.resize(frame, size)[top:bottom, left:right]
    image = cv2.flip(image, 1) if flip else image
    return image[..., ::-1].transpose(2, 0, 1)


def by_us(frame, size, box, flip):
    left, top, right, bottom = box
    source = frame.shape[1], frame.shape[0]
    resize = FastResize(source, size, box, flip)
    # The second of three frames, in planes and as stock has them.
    planar = np.full((3, 3, bottom - top, right - left), 7, np.uint8)
    resize(frame, planar[:, 1])
    stock = np.full((3, bottom - top, right - left, 3), 7, np.uint8)
    resize(frame, stock[1].transpose(2, 0, 1))
    assert (planar[:, ::2] == 7).all() and (stock[::2] == 7).all()
    np.testing.assert_array_equal(stock[1].transpose(2, 0, 1), planar[:, 1])
    return planar[:, 1]


@compiled
@settings(max_examples=300, deadline=None)
@given(SIDE, SIDE, SIDE, SIDE, st.booleans(), st.data())
def test_any_size_and_crop(width, height, new_width, new_height, flip, data):
    left = data.draw(st.integers(0, new_width - 1))
    right = data.draw(st.integers(left + 1, new_width))
    top = data.draw(st.integers(0, new_height - 1))
    bottom = data.draw(st.integers(top + 1, new_height))
    args = (new_width, new_height), (left, top, right, bottom), flip
    # A part of a larger frame, as a crop before the resize leaves it.
    for frame in noise(width, height), noise(width + 9, height)[:, 5:-4]:
        np.testing.assert_array_equal(
            by_us(frame, *args), by_opencv(frame, *args)
        )


@compiled
@pytest.mark.parametrize('size', [(320, 240), (171, 128), (341, 256), (2, 1)])
@pytest.mark.parametrize('value', [0, 1, 254, 255])
def test_extreme_colours(size, value):
    frame = np.full((240, 320, 3), value, np.uint8)
    assert (by_us(frame, size, (0, 0, *size), False) == value).all()


@compiled
@pytest.mark.parametrize('width', range(1, 14))
def test_nothing_behind_the_frame_is_read(width):
    """The frame ends where the process may not read on."""
    page, height = mmap.PAGESIZE, 5
    memory = mmap.mmap(-1, 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    assert not protect(ctypes.c_void_p(start + page), ctypes.c_size_t(page), 0)
    count = width * height * 3
    frame = np.frombuffer(memory, np.uint8, count, page - count)
    frame = frame.reshape(height, width, 3)
    frame[:] = noise(width, height)
    for size in (width, height), (3 * width, 9), (max(1, width // 2), 3):
        args = size, (0, 0, *size), False
        np.testing.assert_array_equal(
            by_us(frame, *args), by_opencv(frame, *args)
        )


@compiled
def test_arguments_that_do_not_fit_are_refused():
    call = FastResize((20, 10), (12, 8), (0, 0, 12, 8), False)
    frame, planes = noise(20, 10), np.empty((3, 8, 12), np.uint8)
    call(frame, planes)
    read_only = planes.copy()
    read_only.flags.writeable = False
    for error, bad in (
        (ValueError, (frame[:9], planes)),
        (ValueError, (frame[:, :19], planes)),
        (ValueError, (frame[..., :2], planes)),
        (ValueError, (frame[:, ::-1], planes)),
        (ValueError, (frame, planes[:, :7])),
        (ValueError, (frame, planes[..., ::-1])),
        (ValueError, (frame, read_only)),
        (TypeError, (frame.astype(np.int8), planes)),
        (TypeError, (frame[0], planes)),
        (TypeError, (None, planes)),
    ):
        with pytest.raises(error):
            call(*bad)
    columns, weights, *rest = call._tables
    for wrong in columns[::-1].copy(), columns - 1, columns + 99:
        with pytest.raises(ValueError, match='outside'):
            fast_resize.resize_crop(frame, wrong, weights, *rest, planes, 0)


def geometry(*transforms):
    return ClipGeometry(
        [TRANSFORMS.build(transform) for transform in transforms],
        dict(img_shape=SIZE[::-1], modality='RGB'),
    )


RESIZE = dict(type='Resize', scale=(-1, 48))
SMALL = dict(type='Resize', scale=(36, 32), keep_ratio=False)
CROP = dict(type='CenterCrop', crop_size=40)
FLIP = dict(type='Flip', flip_ratio=1.0)


@compiled
@pytest.mark.parametrize(
    'transforms',
    [
        [RESIZE],
        [RESIZE, CROP],
        [SMALL, FLIP],
        [RESIZE, CROP, FLIP],
        [CROP, SMALL, FLIP],
        [RESIZE, CROP, SMALL, FLIP],
        [FLIP, SMALL, dict(CROP, crop_size=30)],
        [dict(FLIP, flip_ratio=0), CROP, SMALL],
    ],
)
def test_it_does_the_end_of_what_is_asked_for(transforms):
    found = geometry(*transforms)
    assert found._fast
    clips = PlanarClips(1, 1, found.shape)
    frame = noise(*SIZE)
    for resized in None, {}:
        found.write(frame, clips, 0, resized)
        np.testing.assert_array_equal(clips[0], found.apply(frame)[..., ::-1])
        clips.tensor.zero_()


@compiled
@pytest.mark.parametrize(
    'transforms',
    [
        [],
        [CROP, FLIP],
        [dict(RESIZE, interpolation='bicubic'), CROP],
        [RESIZE, CROP, dict(FLIP, direction='vertical')],
        [RESIZE, FLIP, CROP],
        [RESIZE, CROP, CROP],
    ],
)
def test_the_rest_is_left_to_opencv(transforms):
    assert geometry(*transforms)._fast is None


STEPS = [
    RESIZE,
    dict(SMALL, scale=(61, 52)),
    dict(SMALL, interpolation='nearest'),
    dict(CROP, crop_size=(31, 29)),
    FLIP,
    dict(FLIP, flip_ratio=0),
    dict(FLIP, direction='vertical'),
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=5))
def test_any_transforms(transforms):
    """As mmcv and OpenCV do them one after the other."""
    found = geometry(*transforms)
    frame = noise(*SIZE)
    for kind in PlanarClips, InterleavedClips:
        clips = kind(1, 2, found.shape)
        for resized in None, {}:
            found.write(frame, clips, 1, resized)
            np.testing.assert_array_equal(
                clips.imgs[1], found.apply(frame)[..., ::-1]
            )


def test_without_a_compiler(monkeypatch):
    images = []

    def write():
        found = geometry(RESIZE, CROP, FLIP)
        for kind in PlanarClips, InterleavedClips:
            clips = kind(1, 1, found.shape)
            found.write(noise(*SIZE), clips, 0)
            images.append(clips.imgs[0])
        return found._fast

    write()
    monkeypatch.setattr(fast_resize, 'resize_crop', None)
    assert write() is None
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])


@compiled
def test_an_opencv_that_gives_other_pixels(monkeypatch):
    sizes = (77, 33), (41, 30), (0, 0, 20, 20), False
    assert FastResize.if_exact(*sizes)
    imresize = mmcv.imresize

    def other(image, size, **kwargs):
        image = imresize(image, size, **kwargs)
        image[..., -1, 0] ^= 1
        return image

    fast_resize._gives_the_same.cache_clear()
    monkeypatch.setattr(mmcv, 'imresize', other)
    assert FastResize.if_exact(*sizes) is None
    fast_resize._gives_the_same.cache_clear()

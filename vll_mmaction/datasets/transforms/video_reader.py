"""``VideoReaderInit`` and ``ReadVideoClips``: a video's clips in one pass.

They take the place of ``DecordInit`` and ``DecordDecode``, and of the stock
transforms that follow them, up to ``FormatShape``::

    dict(type='VideoReaderInit'),
    dict(type='SampleVideoClips', clip_len=16),
    dict(
        type='ReadVideoClips',
        transforms=[
            dict(type='Resize', scale=(-1, 128)),
            dict(type='RandomCrop', size=112),
        ],
    ),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),

The pixels are the same. The video is gone through once, in order; each frame
is resized as it comes, and its crops are written where they end up.
"""

import os.path as osp
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Optional, Union

import cv2
import numpy as np
from mmaction.datasets.transforms import Resize
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform
from torch.utils.data import get_worker_info

from ...video_io.clip_array import InterleavedClips, PlanarClips
from ...video_io.clip_geometry import KNOWN, ClipGeometry
from ...video_io.frame_cache import FrameCache
from ...video_io.frame_source import read_lazy_frames
from ...video_io.prober import FrameCounter
from ...video_io.video_probe import hint_of_ending
from ...video_io.yuv_frame import AnyFrame

_count_frames = FrameCounter()


@TRANSFORMS.register_module()
class VideoReaderInit(BaseTransform):
    """Find out how many frames a video has, for :class:`ReadVideoClips`.

    In ``VideoClipDataset`` the frame index knows; in stock ``VideoDataset``
    the file is decoded, as for the index, in a subprocess that is kept:
    decoders crash and hang on bad files.

    Required Keys:

        - filename
        - total_frames (optional)

    Added Keys:

        - total_frames
    """

    def transform(self, results: dict) -> dict:
        """Set the number of frames.

        Args:
            results (dict): The result dict.

        Returns:
            dict: The same dict, with the key above.
        """
        path = results['filename']
        if not osp.isfile(path):
            raise FileNotFoundError(
                f'There is no video file {path}{hint_of_ending(path)}. (Only '
                'local files can be read; DecordInit knows other storage.)'
            )
        if 'total_frames' not in results:
            facts = _count_frames(path)
            if not facts.frames:
                raise ValueError(f'{path}: {facts.reason}')
            results['total_frames'] = facts.frames
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


@TRANSFORMS.register_module()
class ReadVideoClips(BaseTransform):
    """Read the frames of ``frame_inds``, resized, cropped and flipped.

    In ``VideoClipDataset`` each clip draws its own crop and flip, with the
    numbers that the transforms would draw behind ``DecordDecode``. Elsewhere
    all clips share one draw from the global generators, as stock.

    Required Keys:

        - filename
        - frame_inds
        - clip_len
        - num_clips
        - key_packets (optional)

    Added Keys:

        - imgs: (num_clips * clip_len, H, W, 3) uint8, RGB, one array; or
          :class:`PlanarClips` where ``planar_clips`` asks for it
        - original_shape: (height, width) of the video
        - img_shape: (H, W)
        - what the transforms add, such as ``crop_bbox`` and ``flip``
        - clip_updates (in VideoClipDataset): the same keys, for each clip

    Args:
        transforms (Sequence[dict | Callable]): What is done to each frame:
            stock ``Resize``, ``RandomRescale``, ``RandomCrop``,
            ``CenterCrop``, ``RandomResizedCrop``, ``MultiScaleCrop`` and
            ``Flip``, in any order. Defaults to ().
        cache (dict, optional): ``folder`` and ``max_gb`` of a
            :class:`FrameCache`, which keeps what is decoded, for later
            epochs and runs: all frames of each video, resized if ``Resize``
            comes first, until it is full. The pixels are the same. Defaults
            to None: every video is decoded each time.
        seek (bool): Whether to seek where that is cheaper than reading on,
            to the key packets that the frame index holds. For clip-level
            training; where all clips are read there is nothing to be saved.
            The pixels are the same. Only in ``VideoClipDataset``. Defaults to
            False.
    """

    def __init__(
        self,
        transforms: Sequence[Union[dict, Callable]] = (),
        cache: Optional[dict] = None,
        seek: bool = False,
    ) -> None:
        self.transforms = _build_geometry(transforms)
        self.seek = seek
        self.cache = None if cache is None else FrameCache(**cache)

    def transform(self, results: dict) -> dict:
        """Read the clips.

        Args:
            results (dict): The result dict.

        Returns:
            dict: The same dict, with the keys above.

        Raises:
            ValueError: The video cannot be decoded or has too few frames, or
                its frames do not fit the transforms; the message names the
                file.
        """
        if get_worker_info() is not None:
            # Workers share the cores; OpenCV's threads would only add to
            # them.
            cv2.setNumThreads(0)
        path = results['filename']
        clip_len = results['clip_len']
        wanted, places = _places(results['frame_inds'])
        planar = results.get('planar_clips', False)
        clips: Any = None
        frames = self._frames(results, wanted)
        for (video_shape, frame, is_resized), slots in zip(frames, places):
            if clips is None:
                geometries = self._draw(results, video_shape)
                shape = _common_shape(geometries, path)
                make = PlanarClips if planar else InterleavedClips
                clips = make(results['num_clips'], clip_len, shape)
                original_shape = video_shape
            elif video_shape != original_shape:
                raise ValueError(f'{path}: its frames change their size')
            resized: Optional[dict] = {} if len(slots) > 1 else None
            if is_resized:
                resized = geometries[0].resized_to(frame)
            for slot in slots:
                clip = slot // clip_len
                geometry = geometries[clip % len(geometries)]
                geometry.write(frame, clips, slot, resized)
        if 'clip_draws' in results:
            results['clip_updates'] = [g.updates for g in geometries]
        else:
            results.update(geometries[0].updates)
        results['original_shape'] = original_shape
        results['img_shape'] = shape
        results['imgs'] = clips.imgs
        return results

    def _frames(
        self, results: dict, wanted: np.ndarray
    ) -> Iterator[tuple[tuple[int, ...], AnyFrame, bool]]:
        """Size of the video, a frame, and whether that is resized."""
        path = results['filename']
        keys = results.get('key_packets', ()) if self.seek else ()
        if self.cache is None:
            for _, frame in read_lazy_frames(path, wanted, keys):
                yield frame.shape[:2], frame, False
            return
        # Later ones may draw. Without a Resize whole frames are kept.
        first = [t for t in self.transforms[:1] if type(t) is Resize]
        known: dict[tuple, ClipGeometry] = {}

        def resize(frame: AnyFrame) -> np.ndarray:
            size = frame.shape[:2]
            if size not in known:
                known[size] = ClipGeometry(first, dict(img_shape=size))
            return known[size].apply(frame)

        num_frames = int(results['total_frames'])
        for video_shape, frame, is_kept in self.cache.frames(
            path, wanted, num_frames, resize, repr(first), keys
        ):
            yield video_shape, frame, is_kept and bool(first)

    def _draw(
        self, results: dict, frame_shape: tuple[int, ...]
    ) -> list[ClipGeometry]:
        """One geometry a clip, or one for all clips."""
        known = dict(
            results, img_shape=frame_shape, original_shape=frame_shape
        )
        try:
            if 'clip_draws' not in results:
                return [ClipGeometry(self.transforms, known)]
            geometries = []
            for draws in results['clip_draws']:
                draws.start()
                geometries.append(ClipGeometry(self.transforms, known))
                if not results.get('planar_clips'):
                    draws.pause()
        except AssertionError as error:
            raise ValueError(
                f'{results["filename"]}: its frames of {frame_shape[1]}x'
                f'{frame_shape[0]} do not fit {self.transforms}'
            ) from error
        return geometries

    def __repr__(self) -> str:
        more = '' if self.cache is None else f', cache={self.cache}'
        more += ', seek=True' if self.seek else ''
        return f'{type(self).__name__}(transforms={self.transforms}{more})'


def _build_geometry(
    transforms: Sequence[Union[dict, Callable]],
) -> list[Callable]:
    """Build stock transforms, checking that :class:`ClipGeometry` knows them.

    Args:
        transforms (Sequence[dict | Callable]): Transforms or their configs.

    Returns:
        list[Callable]: The transforms.

    Raises:
        ValueError: One is unknown here, or lazy.
    """
    built = []
    for transform in transforms:
        if isinstance(transform, dict):
            transform = TRANSFORMS.build(transform)
        if not isinstance(transform, KNOWN) or getattr(
            transform, 'lazy', False
        ):
            raise ValueError(
                f'{transform} cannot be done while reading. Those that can '
                'are Resize, RandomRescale, RandomCrop, CenterCrop, '
                'RandomResizedCrop, MultiScaleCrop and Flip, not lazy; put '
                'others behind the reader in the pipeline.'
            )
        built.append(transform)
    return built


def _places(frame_inds: np.ndarray) -> tuple[np.ndarray, list[list[int]]]:
    """Frames to read and where each goes.

    Args:
        frame_inds (np.ndarray): (num_clips * clip_len,) int64.

    Returns:
        tuple: ``wanted`` (n,) int64, ascending, each frame once, and for each
        of them its places in ``frame_inds``.
    """
    frame_inds = np.asarray(frame_inds).reshape(-1)
    order = np.argsort(frame_inds, kind='stable')
    wanted, starts = np.unique(frame_inds[order], return_index=True)
    ends = [*starts[1:], len(order)]
    return wanted, [order[a:b].tolist() for a, b in zip(starts, ends)]


def _common_shape(
    geometries: Sequence[ClipGeometry], path: str
) -> tuple[int, ...]:
    """Height and width of all clips, which must agree."""
    shapes = {geometry.shape for geometry in geometries}
    if len(shapes) > 1:
        raise ValueError(
            f'{path}: its clips come out in different sizes, {sorted(shapes)}.'
            ' Let `transforms` end in one size, such as that of a crop.'
        )
    return shapes.pop()

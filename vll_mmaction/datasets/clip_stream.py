"""A video's clips one after the other: it is gone through once, in order."""

from collections.abc import Iterator, Sequence
from typing import Callable

import cv2
import numpy as np
import torch
from mmaction.datasets.transforms import DecordDecode
from mmengine.dataset import Compose
from torch import Tensor

from ..video_io.frame_source import read_frames
from .bad_videos import UnreadableVideo
from .transforms import ReadVideoClips, SampleVideoClips

OPENERS = ('VideoReaderInit', 'DecordInit', 'PyAVInit', 'OpenCVInit')
DECODERS = ('DecordDecode', 'PyAVDecode', 'OpenCVDecode', 'RawFrameDecode')


class ClipStream:
    """All clips of a video, read as the recognizer asks for them.

    What ``inputs`` of a sample is where a video has more clips than
    ``stream_above`` of :class:`WholeVideoDataset`. However long the video is,
    the frames of one clip and the inputs of a few are held.

    Args:
        transforms (Sequence[Callable]): Of the pipeline.
        info (dict): Annotation of the video, with ``total_frames``.
        name (str): The video in messages.
        num_clips (int): Number of its clips.
    """

    def __init__(
        self,
        transforms: Sequence[Callable],
        info: dict,
        name: str,
        num_clips: int,
    ) -> None:
        self._transforms = transforms
        self._info = info
        self._name = name
        self.num_clips = num_clips

    def chunks(self, num_clips: int) -> Iterator[Tensor]:
        """The packed clips, so many at a time.

        Args:
            num_clips (int): Largest number of clips at a time.

        Yields:
            Tensor: (n * crops, C, T, H, W) uint8 (2D: (n * crops * T, C, H,
            W)) of the next n clips, the crops of a clip side by side.

        Raises:
            UnreadableVideo: It cannot be read to its end.
        """
        info, transforms = dict(self._info), list(self._transforms)
        if 'frame_dir' not in info:
            transforms = read_in_order(transforms)
            frame_inds = _sampled(transforms, info)['frame_inds']
            info['video_reader'] = FramesInOrder(
                info['filename'], np.unique(frame_inds)
            )
        pipeline = Compose(transforms)
        for start in range(0, self.num_clips, num_clips):
            ids = range(start, min(start + num_clips, self.num_clips))
            yield torch.cat([self._read(pipeline, info, k) for k in ids])

    def _read(self, pipeline: Compose, info: dict, clip: int) -> Tensor:
        try:
            return pipeline(dict(info, clip_ids=[clip]))['inputs']
        except Exception as error:
            raise UnreadableVideo(
                f'{self._name}, clip {clip}: {type(error).__name__}: '
                f'{str(error)[:300]}'
            ) from error


def stream_sample(
    transforms: Sequence[Callable], info: dict, name: str
) -> dict:
    """The packed sample of a video whose clips are yet to be read.

    Args:
        transforms (Sequence[Callable]): Of the pipeline.
        info (dict): Annotation of the video, with ``total_frames``.
        name (str): The video in messages.

    Returns:
        dict: ``inputs``, a :class:`ClipStream`, and ``data_samples``, whose
        meta info is what is known before a frame is read.
    """
    sampled = _sampled(transforms, info)
    # Nothing is packed but what is said of the frames.
    packed = transforms[-1](dict(sampled, imgs=np.zeros((1, 1), np.uint8)))
    stream = ClipStream(transforms, info, name, sampled['num_clips'])
    return dict(inputs=stream, data_samples=packed['data_samples'])


def _sampled(transforms: Sequence[Callable], info: dict) -> dict:
    (sample,) = (t for t in transforms if isinstance(t, SampleVideoClips))
    return sample(dict(info))


def read_in_order(transforms: Sequence[Callable]) -> list[Callable]:
    """Exchange what reads videos for what reads a :class:`FramesInOrder`.

    Args:
        transforms (Sequence[Callable]): Of a test pipeline.

    Returns:
        list[Callable]: Those that take ``video_reader`` and ``clip_ids``, and
        give the same pixels.
    """
    steps: list[Callable] = []
    for transform in transforms:
        name = type(transform).__name__
        if isinstance(transform, ReadVideoClips):
            # The same pixels as by these transforms one after the other.
            steps += [DecordDecode(), *transform.transforms]
        elif name in DECODERS:
            steps.append(DecordDecode())
        elif name not in OPENERS:
            steps.append(transform)
    return steps


class FramesInOrder:
    """Reads a video once, for one clip after the other.

    Stands in for decord's reader. Keeps the frames from the start of the clip
    that was asked for last.

    Args:
        path (str): Video file.
        wanted (np.ndarray): (n,) int64, frames of all clips, ascending.
    """

    def __init__(self, path: str, wanted: np.ndarray) -> None:
        self._frames = read_frames(path, wanted)
        self._kept: dict[int, np.ndarray] = {}
        self._position = 0

    def get_batch(self, numbers: np.ndarray) -> '_Frames':
        """Frames of a clip, which starts no earlier than the last one.

        Args:
            numbers (np.ndarray): (clip_len,) int64.

        Returns:
            list[np.ndarray]: (H, W, 3) uint8 each, RGB.
        """
        first, last = numbers.min(), numbers.max()
        self._kept = {k: x for k, x in self._kept.items() if k >= first}
        while self._position <= last:
            number, frame = next(self._frames)
            self._kept[number] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            self._position = number + 1
        # Transforms may write into them, and clips may share them.
        return _Frames(self._kept[k].copy() for k in numbers.tolist())


class _Frames(list):
    def asnumpy(self) -> list:
        return self

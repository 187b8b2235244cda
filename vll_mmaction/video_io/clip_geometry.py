"""What stock Resize, crops and Flip do to the frames of a clip.

Stock transforms run once on all frames of a clip. A reader that writes each
frame as it comes needs to know beforehand what they will do: they are run
without frames, which makes them draw and set the same shapes and boxes.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Optional, Union

import cv2
import mmcv
import numpy as np
from mmaction.datasets.transforms import (
    Flip,
    RandomCrop,
    RandomRescale,
    Resize,
)

from .clip_array import InterleavedClips, PlanarClips
from .fast_resize import FastResize
from .yuv_frame import AnyFrame, YuvFrame

RESIZES = (Resize, RandomRescale)
# Of RandomCrop: CenterCrop, RandomResizedCrop, MultiScaleCrop.
KNOWN = (*RESIZES, RandomCrop, Flip)
FLIP_CODES = dict(horizontal=1, vertical=0)
# What FastResize does, if bilinear and flipped horizontally.
FAST_ENDS = (
    ('resize',),
    ('resize', 'crop'),
    ('resize', 'flip'),
    ('resize', 'crop', 'flip'),
)
Step = tuple[str, tuple]


class ClipGeometry:
    """What is done to each frame of a clip. Making one draws.

    Args:
        transforms (Sequence[Callable]): Of the kinds in ``KNOWN``, not lazy.
        results (dict): Result dict without ``imgs``; ``img_shape`` is the
            (height, width) of the frames.
    """

    def __init__(self, transforms: Sequence[Callable], results: dict) -> None:
        state = copy.copy(results)
        self.steps: list[Step] = []
        sizes = []  # width and height before each step
        for transform in transforms:
            before = _image_size(state)
            state = transform(state)
            if isinstance(transform, RESIZES):
                args = (_image_size(state), transform.interpolation)
                self.steps.append(('resize', args))
            elif not isinstance(transform, Flip):
                box = tuple(map(int, state['crop_bbox']))
                self.steps.append(('crop', box))
            elif state['flip']:
                code = FLIP_CODES[transform.direction]
                self.steps.append(('flip', (code,)))
            else:
                continue
            sizes.append(before)
        self._first, self._fast = self._fast_end(sizes)
        self.shape = tuple(int(side) for side in state['img_shape'])
        """tuple[int, int]: Height and width of what comes out."""
        self.updates = {
            key: value
            for key, value in state.items()
            if key not in results or value is not results[key]
        }
        """dict: Keys that the transforms set in the result dict."""

    def _fast_end(
        self, sizes: list
    ) -> tuple[list[Step], Optional[FastResize]]:
        """Split off the last resize, crops before it and all that follows.

        Args:
            sizes (list[tuple[int, int]]): Width and height before each step.
        """
        kinds = [kind for kind, _ in self.steps]
        for end in FAST_ENDS:
            start = len(kinds) - len(end)
            if start >= 0 and kinds[start:] == list(end):
                break
        else:
            return self.steps, None
        args = dict(self.steps[start:])
        size, interpolation = args['resize']
        if interpolation != 'bilinear' or args.get('flip', (1,)) != (1,):
            return self.steps, None
        box = args.get('crop', (0, 0, *size))
        first, left, top = self.steps[:start], 0, 0
        while first and first[-1][0] == 'crop':
            _, corner = first.pop()
            left, top = left + corner[0], top + corner[1]
        return first, FastResize.if_exact(
            sizes[start], size, box, 'flip' in args, (left, top)
        )

    def resized_to(self, image: AnyFrame) -> dict:
        """``resized`` of :meth:`write` for a frame that has been resized.

        Args:
            image (np.ndarray): What the first transform, a resize, makes of
                the frame.

        Returns:
            dict: To be handed to :meth:`write`.
        """
        return {self.steps[0][1]: image}

    def write(
        self,
        frame: AnyFrame,
        clips: Union[InterleavedClips, PlanarClips],
        place: int,
        resized: Optional[dict] = None,
    ) -> None:
        """Resize, crop and flip a frame, and write it into a clip.

        Args:
            frame (np.ndarray | YuvFrame): (H, W, 3) uint8, BGR, or as it was
                decoded.
            clips (InterleavedClips | PlanarClips): Written into.
            place (int): See :meth:`PlanarClips.write`.
            resized (dict, optional): What the frame was resized to already,
                shared by the clips that hold it. None if this is the only
                one.
        """
        if self._fast and (
            resized is None or self._first or self.steps[0][0] == 'crop'
        ):
            if self._first:
                frame = self._do(self._first, _converted(frame), resized)
            self._fast(frame, clips.planes(place))
        else:
            clips.write(
                place, self._do(self.steps, _converted(frame), resized)
            )

    def apply(self, frame: AnyFrame) -> np.ndarray:
        """Resize, crop and flip a frame.

        Args:
            frame (np.ndarray | YuvFrame): (H, W, C) uint8, or as it was
                decoded.

        Returns:
            np.ndarray: (*shape, C) uint8, BGR for C = 3, perhaps a view.
        """
        if self._fast and not self._first and isinstance(frame, YuvFrame):
            image = np.empty((*self.shape, 3), np.uint8)
            self._fast(frame, image.transpose(2, 0, 1)[::-1])
            return image
        return self._do(self.steps, _converted(frame))

    def _do(
        self,
        steps: list[Step],
        frame: np.ndarray,
        resized: Optional[dict] = None,
    ) -> np.ndarray:
        """Do the first steps, or all; ``resized`` as in :meth:`write`."""
        image = frame
        if resized is not None and steps and steps[0][0] == 'resize':
            size, interpolation = wanted = steps[0][1]
            if wanted not in resized:
                resized[wanted] = mmcv.imresize(
                    frame, size, interpolation=interpolation
                )
            image, steps = resized[wanted], steps[1:]
        for kind, args in steps:
            if kind == 'resize':
                image = mmcv.imresize(image, args[0], interpolation=args[1])
            elif kind == 'crop':
                left, top, right, bottom = args
                image = image[top:bottom, left:right]
            else:
                image = cv2.flip(image, args[0])
        return image


def _converted(frame: AnyFrame) -> np.ndarray:
    return frame.bgr if isinstance(frame, YuvFrame) else frame


def _image_size(results: dict) -> tuple[int, int]:
    """Width and height, of ``img_shape``."""
    height, width = results['img_shape']
    return int(width), int(height)

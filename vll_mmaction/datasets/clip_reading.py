"""Reads the clips of a video in one pass and packs each as a sample.

Transforms up to the one that sets ``imgs`` run once a video; those after it
once a clip, so that each clip draws its own crop and flip. What comes out is
checked, so that nothing wrong gets into a batch.
"""

import copy
from collections.abc import Sequence
from typing import Callable, Optional

import numpy as np
import torch
from mmaction.datasets.transforms import FormatShape, PackActionInputs

from ..video_io.clip_array import PlanarClips, shared_empty
from .bad_videos import UnreadableVideo
from .samplers.clip_batch import (
    ClipBatch,
    ClipDraws,
    draw_key,
    kept_generators,
    seed_generators,
)


class ClipReader:
    """Reads and packs clips of one video after the other.

    Args:
        per_video_augmentation (bool): Whether the clips of a video share one
            draw of crop, flip and so on.
    """

    def __init__(self, per_video_augmentation: bool) -> None:
        self.per_video_augmentation = per_video_augmentation
        self._input_shape: Optional[torch.Size] = None

    def load(
        self,
        info: dict,
        name: str,
        clips: Sequence[int],
        batch: ClipBatch,
        transforms: Sequence[Callable],
    ) -> list[dict]:
        """Read clips of one video in one pass and pack each.

        Args:
            info (dict): Annotation of the video, with ``video_id``.
            name (str): The video in messages.
            clips (Sequence[int]): Numbers of its clips.
            batch (ClipBatch): For which they are read.
            transforms (Sequence[Callable]): Of the pipeline.

        Returns:
            list[dict]: A packed sample a clip, see ``ClipDatasetMixin``.

        Raises:
            UnreadableVideo: It could not be read.
            ValueError: The transforms give something else than samples of
                one size.
        """
        key = draw_key(batch.key, info['video_id'])
        info['clip_ids'] = np.asarray(clips)
        info['clip_rng'] = np.random.default_rng(key)
        # For readers that crop while they read.
        info['clip_draws'] = [
            ClipDraws(
                key if self.per_video_augmentation else (*key, int(clip))
            )
            for clip in clips
        ]
        with kept_generators():
            seed_generators(key)
            results, rest = _read(name, info, transforms)
            return self._pack_clips(results, rest, clips, batch)

    def _pack_clips(
        self,
        results: dict,
        rest: Sequence[Callable],
        clips: Sequence[int],
        batch: ClipBatch,
    ) -> list[dict]:
        """Run the transforms that follow the reading, for each clip."""
        frames, clip_len = results['imgs'], results['clip_len']
        inputs, label, samples = None, None, []
        for number, clip in enumerate(clips):
            part = slice(number * clip_len, (number + 1) * clip_len)
            one = copy.copy(results)
            one['imgs'] = frames[part]
            one['frame_inds'] = results['frame_inds'][part]
            one.update(num_clips=1, clip_id=int(clip))
            if 'clip_updates' in results:
                one.update(results['clip_updates'][number])
            results['clip_draws'][number].go_on()
            packed = self._pack(one, rest)
            if isinstance(frames, PlanarClips) and frames.holds(
                number, packed['inputs']
            ):
                packed['inputs'] = frames.tensor[number : number + 1]
            else:
                if inputs is None:
                    inputs = shared_empty(
                        (len(clips), *packed['inputs'].shape),
                        packed['inputs'].dtype,
                    )
                inputs[number] = packed['inputs']
                packed['inputs'] = inputs[number]
            sample = packed['data_samples']
            if label is None:
                label = sample.gt_label
            if torch.equal(sample.gt_label, label):
                sample.gt_label = label
            sample.set_metainfo(
                dict(
                    video_id=results['video_id'] + batch.video_offset,
                    clip_id=int(clip),
                    filename=results['filename'],
                    frame_inds=one['frame_inds'],
                    total_frames=int(results['total_frames']),
                )
            )
            samples.append(packed)
        return samples

    def _pack(self, results: dict, transforms: Sequence[Callable]) -> dict:
        """Run the transforms of one clip and check what comes out."""
        where = f'{results["filename"]}, clip {results["clip_id"]}'
        for transform in transforms:
            try:
                results = transform(results)
            except Exception as error:
                raise UnreadableVideo.by(transform, where, error) from error
            if results is None:
                # BaseDataset would fetch a random other clip here, which
                # would be a foreign clip in this video's batch.
                raise ValueError(f'{where}: {transform} gave None')
        if not isinstance(results.get('inputs'), torch.Tensor):
            raise ValueError(
                'The pipeline of a VideoClipDataset or RawframeClipDataset '
                "must end with dict(type='PackActionInputs')."
            )
        shape = results['inputs'].shape
        if self._input_shape is None:
            self._input_shape = shape
        if shape != self._input_shape:
            raise ValueError(
                f'{where} has shape {tuple(shape)}, clips before had '
                f'{tuple(self._input_shape)}: all clips must have one size. '
                'End the pipeline in a crop or resize to a fixed size.'
            )
        return results


def _only_pack(transforms: Sequence[Callable]) -> bool:
    """Whether transforms leave pixels as they are, and draw nothing."""
    return [type(transform) for transform in transforms] == [
        FormatShape,
        PackActionInputs,
    ] and transforms[0].input_format == 'NCTHW'


def _read(
    name: str, info: dict, transforms: Sequence[Callable]
) -> tuple[dict, Sequence[Callable]]:
    """Run the transforms that read the video, up to the first ``imgs``."""
    results, rest = dict(info), list(transforms)
    while 'imgs' not in results:
        if not rest:
            raise ValueError('No transform of the pipeline reads `imgs`.')
        transform = rest.pop(0)
        results['planar_clips'] = _only_pack(rest)
        try:
            results = transform(results)
        except Exception as error:
            raise UnreadableVideo.by(transform, name, error) from error
        if results is None:
            raise UnreadableVideo(
                f'{name}: {type(transform).__name__} gave None'
            )
    check_read(name, info['total_frames'], results)
    return results, rest


def check_read(name: str, total_frames: int, results: dict) -> None:
    """See that the frames asked for have come, in one size.

    Args:
        name (str): The video in messages.
        total_frames (int): Frames that it should have.
        results (dict): What was read, with ``imgs`` and ``frame_inds``.

    Raises:
        UnreadableVideo: They have not.
    """
    if results['total_frames'] != total_frames:
        raise UnreadableVideo(
            f'{name} has {results["total_frames"]} frames, {total_frames} '
            'when it was indexed'
        )
    imgs, wanted = results['imgs'], len(results['frame_inds'])
    if len(imgs) != wanted:
        raise UnreadableVideo(
            f'{name} gave {len(imgs)} frames of the {wanted} asked for'
        )
    # All frames of one array have one shape; to look at each takes time.
    one_array = isinstance(imgs, (np.ndarray, PlanarClips))
    shapes = {np.shape(frame) for frame in ([imgs[0]] if one_array else imgs)}
    # A file that is no image is decoded to None.
    if any(len(shape) != 3 for shape in shapes):
        raise UnreadableVideo(f'{name} has a frame that is no image')
    if len(shapes) > 1:
        # Transforms take the size of the first for that of all.
        raise UnreadableVideo(f'{name}: its frames change their size')

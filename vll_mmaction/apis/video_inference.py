"""The clip scores of any video, by a trained recognizer.

``init_video_recognizer`` is MMAction2's ``init_recognizer`` for checkpoints
that must fit. ``score_video`` cuts a video into the clips of the config's test
pipeline and scores all of them. However long the video is, it is gone through
once, and the frames of one clip and the inputs of a few are held.
"""

import os.path as osp
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np
import torch
from mmaction.apis import init_recognizer
from mmaction.datasets.transforms import DecordDecode
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from ..datasets import SampleVideoClips
from ..datasets.bad_videos import UnreadableVideo
from ..datasets.clip_stream import ClipStream, read_in_order
from ..evaluation import ClipResults
from ..evaluation.class_names import find_class_names
from ..models.recognizers.bounded_testing import VIEWS_AT_ONCE
from ..video_io.prober import count_frames


def init_video_recognizer(
    config: Union[str, Path, Config],
    checkpoint: Union[str, Path],
    device: Union[str, torch.device] = 'cuda:0',
    classes: Optional[Sequence[str]] = None,
) -> nn.Module:
    """Build a recognizer and load a checkpoint, which must fit it.

    Stock's ``init_recognizer`` logs what does not fit, and goes on with random
    weights in its place.

    Args:
        config (str | Path | Config): Config or its file.
        checkpoint (str | Path): Checkpoint file or URL.
        device (str | torch.device): Defaults to ``'cuda:0'``.
        classes (Sequence[str], optional): Names of the classes. Defaults to
            those in the config's test set, in the checkpoint, or in a label
            map in the test set's folder.

    Returns:
        nn.Module: The recognizer. Its ``dataset_meta`` holds ``classes``,
        names by label, empty where none were found.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: The checkpoint cannot be read or is of another model, or
            there are more or fewer names than classes.
    """
    if not isinstance(config, Config):
        config = Config.fromfile(config)
    model = init_recognizer(config, device='cpu')
    loaded = _read_checkpoint(str(checkpoint))
    weights = {
        # As a model in DataParallel names them.
        name.removeprefix('module.'): value
        for name, value in loaded.get('state_dict', loaded).items()
    }
    _check_fit(model.state_dict(), weights, checkpoint)
    model.load_state_dict(weights)
    model.dataset_meta = dict(
        classes=_find_classes(config, loaded, model, classes)
    )
    return model.to(device)


def _read_checkpoint(path: str) -> dict:
    try:
        loaded = CheckpointLoader.load_checkpoint(path, 'cpu', logger='silent')
    except OSError:
        raise
    except Exception as error:  # whatever an unpickler meets in any file
        reason = str(error).strip().split('\n')[0] or type(error).__name__
        raise ValueError(
            f'{path} cannot be read as a checkpoint: {reason}'
        ) from error
    if not isinstance(loaded, dict):
        raise ValueError(
            f'{path} is no checkpoint: it holds a {type(loaded).__name__}'
        )
    return loaded


def _check_fit(own: dict, weights: dict, path: Union[str, Path]) -> None:
    """Refuse weights of other names or shapes than the model's."""
    misfits = [
        f'{name} is {tuple(weights[name].shape)} in it, but '
        f'{tuple(own[name].shape)} in the model'
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    # A class layer of another width: of all misfits it says most.
    misfits.sort(key=lambda text: not text.startswith('cls_head.'))
    misfits += [f'{name} is not in it' for name in own if name not in weights]
    misfits += [
        f'{name} is not in the model' for name in weights if name not in own
    ]
    if misfits:
        more = f', and {len(misfits) - 3} more' if len(misfits) > 3 else ''
        raise ValueError(
            f"{path} is no checkpoint of this config's model (another network "
            f'or number of classes): {"; ".join(misfits[:3])}{more}'
        )


def _find_classes(
    config: Config,
    loaded: dict,
    model: nn.Module,
    given: Optional[Sequence[str]],
) -> tuple[str, ...]:
    """Names of the classes, by label."""
    number = model.cls_head.num_classes
    if given is not None:
        if len(given) != number:
            raise ValueError(
                f'the model has {number} classes, but {len(given)} names '
                'were given'
            )
        return tuple(given)
    dataset = _test_dataset(config)
    known = [
        dataset.get('metainfo', {}).get('classes', ()),
        loaded.get('meta', {}).get('dataset_meta', {}).get('classes', ()),
        find_class_names(dataset.get('data_root') or '', number),
    ]
    return next((tuple(x) for x in known if len(x) == number), ())


def _test_dataset(config: Config) -> dict:
    """The innermost dataset of the test dataloader."""
    dataset = config.get('test_dataloader', {}).get('dataset', {})
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def score_video(
    model: nn.Module,
    path: str,
    on_clips: Optional[Callable[[int, int], None]] = None,
) -> ClipResults:
    """Score all clips of a video.

    The clips and their pixels are those of the config's test pipeline, whose
    reader is exchanged for one that goes through the video once.

    Args:
        model (nn.Module): From :func:`init_video_recognizer`.
        path (str): Video file.
        on_clips (Callable, optional): Called with the number of clips that
            are done and with that of all.

    Returns:
        ClipResults: Of this one video, label -1.

    Raises:
        ValueError: The video cannot be used, the test pipeline is none for
            videos that are cut into clips, or the model's head gives no clip
            scores; the message says which.
    """
    # An absolute path is never taken for a URL, as `a:b.avi` would be.
    path = osp.abspath(path)
    transforms = _test_transforms(model.cfg)
    ((_, _, facts),) = count_frames([path], num_workers=1)
    if facts.reason:
        raise ValueError(f'{path} cannot be used as a video: {facts.reason}')
    video = dict(
        filename=path,
        total_frames=facts.frames,
        start_index=0,
        modality='RGB',
        label=-1,
    )
    (sampling,) = (t for t in transforms if isinstance(t, SampleVideoClips))
    sampled = sampling(dict(video))
    num_clips, frame_inds = sampled['num_clips'], sampled['frame_inds']
    test_cfg = model.cfg.model.get('test_cfg') or {}
    at_once = test_cfg.get('max_testing_views') or VIEWS_AT_ONCE

    scores: list[Tensor] = []
    gates: list[Tensor] = []
    try:
        stream = ClipStream(transforms, video, path, num_clips)
        for inputs in stream.chunks(at_once):
            sample = _score_clips(model, inputs)
            clips = min(at_once, num_clips - len(scores))
            scores.extend(sample.clip_scores.cpu().chunk(clips))
            # Of these clips alone, clip_weights would say.
            gates.append(sample.get('clip_gates', torch.zeros(0)).cpu())
            if on_clips is not None:
                on_clips(len(scores), num_clips)
    except UnreadableVideo as error:
        raise ValueError(str(error)) from error
    return ClipResults(
        clip_scores=torch.cat(scores).numpy(),
        video_offsets=np.array([0, sum(map(len, scores))]),
        labels=np.array([-1]),
        filenames=np.array([path]),
        frame_inds=frame_inds,
        frame_offsets=np.array([0, len(frame_inds)]),
        total_frames=np.array([facts.frames]),
        views_per_clip=np.array([len(scores[0])]),
        class_names=np.array(model.dataset_meta['classes'], dtype=np.str_),
        config_name=np.array(Path(model.cfg.filename or '').stem),
        clip_weights=torch.cat(gates).softmax(dim=0).numpy(),
    )


def _test_transforms(config: Config) -> list[Callable]:
    """The test pipeline, without a cache, which would make its folder.

    Raises:
        ValueError: It does not cut a video into clips and decode them.
    """
    init_default_scope(config.get('default_scope', 'mmaction'))
    steps = [
        {key: value for key, value in step.items() if key != 'cache'}
        for step in _test_dataset(config).get('pipeline', ())
    ]
    transforms = Compose(steps).transforms
    kinds = [type(step) for step in read_in_order(transforms)]
    if kinds[:1] != [SampleVideoClips] or DecordDecode not in kinds:
        raise ValueError(
            'the test pipeline of the config does not cut videos into clips: '
            'it must begin with an opener (such as DecordInit), '
            'SampleVideoClips and a decoder (such as DecordDecode), but is '
            + ', '.join(kind.__name__ for kind in kinds)
        )
    return transforms


def _score_clips(model: nn.Module, views: Tensor) -> ActionDataSample:
    """Prediction of clips, with ``clip_scores`` of all views of each."""
    # The clips stand one after the other with their crops, not crop by crop:
    # as many clips as that tell the head to leave the order.
    sample = ActionDataSample(metainfo=dict(num_clips=len(views)))
    with torch.no_grad():
        (sample,) = model.test_step(
            dict(inputs=[views], data_samples=[sample])
        )
    if 'clip_scores' not in sample:
        raise ValueError(
            f'{type(model.cls_head).__name__} gives no clip scores: the '
            'config must have a VideoLevel* head, such as VideoLevelI3DHead '
            'for I3DHead. It loads the same checkpoints.'
        )
    return sample

"""What no error shows and many users meet: lists and options, looked through.

Each function gives sentences that :class:`ConfigCheckHook` logs as warnings.
"""

import difflib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from .run_parts import dataset_parts, labels_of, video_infos

# Classes that much rarer than another are hardly learnt.
_IMBALANCE = 20
_NAMED = 5

# Keys that MMEngine's Runner reads beside its arguments.
_READ_BY_RUNNER = (
    'activation_checkpointing',
    'compile',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
)


def doubled_videos(train: Any, val: Optional[Any]) -> Iterator[str]:
    """Videos that are in both lists, or in one with two labels."""
    train_labels, val_labels = _labels_by_video(train), _labels_by_video(val)
    stages = dict(training=train_labels, validation=val_labels)
    for stage, labels in stages.items():
        several = [video for video in labels if len(labels[video]) > 1]
        if several:
            classes = ' and '.join(map(str, sorted(labels[several[0]])))
            yield (
                f'The {stage} list gives several labels to {len(several)} '
                f'video(s), such as {several[0]} ({classes}).'
            )
    both = [video for video in val_labels if video in train_labels]
    if both:
        yield (
            f'{len(both)} of {len(val_labels)} validation videos are in the '
            f'training list, too, such as {both[0]}: the accuracy will be '
            'that of videos which the network has seen.'
        )


def _labels_by_video(dataset: Any) -> dict[str, set]:
    """Labels of each file; a part of it, by offset, is a video of its own."""
    labels: dict[str, set] = {}
    for part in dataset_parts(dataset):
        for info in video_infos(part):
            video = info.get('filename') or info.get('frame_dir')
            if not video:
                continue
            if 'offset' in info:
                video = f'{video} from frame {info["offset"]}'
            label = info.get('label')
            labels.setdefault(video, set()).add(
                tuple(label) if isinstance(label, list) else label
            )
    return labels


def uneven_classes(train: Any, num_classes: int) -> Iterator[str]:
    """Classes without a training video, or far rarer than others."""
    labels = [labels_of(part) for part in dataset_parts(train)]
    known = [part for part in labels if part is not None]
    if len(known) < len(labels):
        return
    counts = np.bincount(np.concatenate(known), minlength=num_classes)
    num_classes = len(counts)
    empty = np.flatnonzero(counts == 0).tolist()
    if empty == [0] and num_classes > 2:
        yield (
            'No training video has the label 0, all other labels up to '
            f'{num_classes - 1} occur. Labels start at 0: if those of the '
            'list start at 1, subtract 1 and write num_classes='
            f'{num_classes - 1}.'
        )
    elif empty:
        yield (
            f'{len(empty)} of {num_classes} classes have no training video: '
            f'{", ".join(map(str, empty[:_NAMED]))}'
            f'{" …" if len(empty) > _NAMED else ""}.'
        )
    seen = np.flatnonzero(counts)
    most, least = counts.argmax(), seen[counts[seen].argmin()]
    if counts[most] > _IMBALANCE * counts[least]:
        rare = counts[seen] * _IMBALANCE < counts[most]
        yield (
            f'Class {most} has {counts[most]} training videos, class {least} '
            f'{counts[least]}: {rare.sum()} of {num_classes} classes have '
            f'less than 1/{_IMBALANCE} of the most frequent. Accuracy over '
            'all videos hides them: see acc/mean1, and class_weight of the '
            'loss.'
        )


def unused_options(config: Config, arguments: Sequence[str]) -> Iterator[str]:
    """Keys of ``--cfg-options`` that change nothing that is built.

    Such as variables of a config file, which were copied to where they are
    used when the file was read.
    """
    used = {*inspect.signature(Runner).parameters, *_READ_BY_RUNNER}
    options = [key for key in _given(arguments) if key[0] not in used]
    if not options or not config.filename:
        return
    original = Config.fromfile(config.filename)
    for name, *rest in options:
        option = '.'.join([name, *rest])
        if name not in original:
            similar = difflib.get_close_matches(name, used, 1)
            meant = f' Did you mean {similar[0]}?' if similar else ''
            yield (
                f'--cfg-options {option} changes nothing: nothing reads '
                f'{name}.{meant}'
            )
            continue
        places = [
            '.'.join([*place, *rest])
            for key in sorted(used & set(original))
            for place in _places(original[key], [key], original[name])
        ]
        advice = (
            f'write {" and ".join(places)}'
            if rest and places
            else 'name the keys where it is used'
        )
        yield (
            f'--cfg-options {option} changes nothing: {name} is a variable of '
            'the config file, copied to where it is used when the file was '
            f'read. Instead {advice}.'
        )


def _given(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Keys of the options, split at their dots."""
    taking = False
    for word in arguments:
        if word.startswith('-'):
            taking = word == '--cfg-options'
        elif taking and '=' in word:
            yield word.partition('=')[0].split('.')


def _places(value: Any, place: list[str], wanted: Any) -> Iterator[list[str]]:
    """Where in a config a value stands."""
    if value == wanted:
        yield place
        return
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    for key, part in value.items() if isinstance(value, dict) else ():
        yield from _places(part, [*place, str(key)], wanted)

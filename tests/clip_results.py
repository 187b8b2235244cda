"""Clip results as the metric writes them, for what reads them."""

import numpy as np

from vll_mmaction.evaluation import ClipResults


def make_results(videos, labels, frames=None, **known):
    """Results of some videos.

    Args:
        videos (Sequence): Scores of each, (m, K).
        labels (Sequence[int]): Of each.
        frames (Sequence, optional): Frames of the clips of each, in a row;
            None where they are not known.
        known: Other attributes of ``ClipResults``, as lists or the like.
    """
    number = len(videos)
    rows = [()] * number if frames is None else frames
    known = {
        'filenames': [f'{k}.avi' for k in range(number)],
        'total_frames': [-1] * number,
        'views_per_clip': [1] * number,
        'class_names': np.zeros(0, np.str_),
        'config_name': 'some',
        'clip_weights': np.zeros(0, np.float32),
        **known,
    }
    return ClipResults(
        clip_scores=np.concatenate(videos).astype(np.float32),
        video_offsets=np.cumsum([0, *map(len, videos)]),
        labels=np.array(labels),
        frame_inds=np.concatenate(rows).astype(np.int64),
        frame_offsets=np.cumsum([0, *map(len, rows)]),
        **{name: np.array(value) for name, value in known.items()},
    )


def voting(votes, num_classes, share=0.65):
    """Scores (m, K) of clips that vote as told, with that probability."""
    rest = (1 - share) / (num_classes - 1)
    scores = np.full((len(votes), num_classes), rest)
    scores[np.arange(len(votes)), votes] = share
    return scores

"""Clip results of videos that never were, for tests."""

import numpy as np

from vll_mmaction.evaluation import ClipResults


def made_results(scores, counts=None, **fields):
    """Results of videos of so many clips each, one unless told, of class 0."""
    scores = np.asarray(scores, np.float32)
    counts = np.ones(len(scores), int) if counts is None else counts
    number = len(counts)
    known = dict(
        clip_scores=scores,
        video_offsets=np.cumsum([0, *counts]),
        labels=np.zeros(number, np.int64),
        filenames=np.array([f'{k}.avi' for k in range(number)]),
        frame_inds=np.zeros(0, np.int64),
        frame_offsets=np.zeros(number + 1, np.int64),
        total_frames=np.full(number, -1),
        views_per_clip=np.ones(number, np.int64),
        class_names=np.zeros(0, np.str_),
        config_name=np.array('some'),
    )
    return ClipResults(**{**known, **fields})

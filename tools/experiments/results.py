"""What the clips of a tested run say about its videos, rule by rule."""

import numpy as np

from vll_mmaction.evaluation import (
    ClipResults,
    attention_scores,
    consistency_figures,
    vote_scores,
)

RULES = ('vote', 'mean_prob', 'attention')
"""How a video is predicted from its clips."""


def right_videos(results: ClipResults) -> dict:
    """Whether each video is right, by each rule that the results allow.

    Args:
        results (ClipResults): Of a test.

    Returns:
        dict[str, ndarray]: (V,) of 0 and 1 by name of the rule.
    """
    ends = results.video_offsets[1:-1]
    scores = np.split(results.clip_scores, ends)
    predicted = dict(
        vote=[vote_scores(x).argmax() for x in scores],
        mean_prob=[x.mean(axis=0, dtype=np.float64).argmax() for x in scores],
    )
    if len(results.clip_weights):
        weights = np.split(results.clip_weights, ends)
        predicted['attention'] = [
            attention_scores(x, a).argmax() for x, a in zip(scores, weights)
        ]
    return {
        rule: (np.array(classes) == results.labels).astype(int)
        for rule, classes in predicted.items()
    }


def accuracies(results: ClipResults) -> dict:
    """Shares of right videos by each rule, of right clips, and agreement."""
    figures = consistency_figures(results)
    shares = {k: v.mean() for k, v in right_videos(results).items()}
    shares.update(clip=figures['clip_acc'], agreement=figures['agreement'])
    return {name: round(float(share), 6) for name, share in shares.items()}

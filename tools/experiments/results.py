"""What the clips of a tested run say about its videos, rule by rule."""

from vll_mmaction.evaluation import (
    ClipResults,
    consistency_figures,
    video_predictions,
)

RULES = ('vote', 'mean_prob', 'attention')
"""How a video is predicted from its clips."""


def right_videos(results: ClipResults) -> dict:
    """Whether each video is right, by each rule that the results allow.

    Returns:
        dict[str, ndarray]: (V,) of 0 and 1 by name of the rule.
    """
    return {
        dict(mean='mean_prob').get(rule, rule): (
            (classes == results.labels).astype(int)
        )
        for rule, classes in video_predictions(results).items()
    }


def accuracies(results: ClipResults) -> dict:
    """Shares of right videos by each rule, of right clips, and agreement."""
    figures = consistency_figures(results)
    shares = {k: v.mean() for k, v in right_videos(results).items()}
    shares.update(clip=figures['clip_acc'], agreement=figures['agreement'])
    return {name: round(float(share), 6) for name, share in shares.items()}

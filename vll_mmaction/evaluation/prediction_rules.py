"""From the scores of clips to the class of their video."""

import numpy as np
import torch
from scipy.special import softmax

from ..models.heads.voting import majority_vote
from .clip_results import ClipResults


def vote_scores(clip_scores: np.ndarray) -> np.ndarray:
    """Video scores by the vote of the clips (Shi et al. 2020, Section 4.1).

    Args:
        clip_scores (ndarray): Probabilities, (m, K).

    Returns:
        ndarray: ``(votes + mean probability) / (m + 1)``, (K,) float64. It
        sums to one, ranks by votes and breaks ties by mean probability.

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
        >>> vote_scores(scores).round(3).tolist()
        [0.392, 0.608]
    """
    return majority_vote(torch.tensor(clip_scores).double()).numpy()


def attention_scores(
    clip_scores: np.ndarray, clip_weights: np.ndarray
) -> np.ndarray:
    """Video scores by attention, as ``average_clips='attention'`` has them.

    Args:
        clip_scores (ndarray): Probabilities, (m, K).
        clip_weights (ndarray): Weights, (m,), which sum to one.

    Returns:
        ndarray: Softmax of the weighted mean of the logits, (K,) float64,
        which is that of the log-probabilities.

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
        >>> attention_scores(scores, np.array([0.5, 0.25, 0.25])).round(3)
        array([0.71, 0.29])
    """
    smallest = np.finfo(np.float32).tiny
    logits = np.log(np.maximum(clip_scores, smallest, dtype=np.float64))
    return softmax(clip_weights.astype(np.float64) @ logits)


def video_predictions(results: ClipResults) -> dict[str, np.ndarray]:
    """The class of each video, by each rule that the results allow.

    Args:
        results (ClipResults): Clip scores of V videos.

    Returns:
        dict[str, ndarray]: (V,) int64 by the ``'vote'`` of the clips, by the
        ``'mean'`` of their probabilities and, if the head has it, by
        ``'attention'``.
    """
    videos = results.split(results.clip_scores)
    predicted = dict(
        vote=[vote_scores(x).argmax() for x in videos],
        mean=[x.mean(axis=0, dtype=np.float64).argmax() for x in videos],
    )
    if results.clip_weights.size:
        weights = results.split(results.clip_weights)
        predicted['attention'] = [
            attention_scores(x, a).argmax() for x, a in zip(videos, weights)
        ]
    return {rule: np.array(classes) for rule, classes in predicted.items()}

"""How the clips of a video vote: the rules that ``average_clips`` may name.

A rule of your own needs no change here: add it to :data:`VOTE_RULES` in a file
that the config's ``custom_imports`` names.
"""

from typing import Callable

import torch.nn.functional as F
from torch import Tensor


def majority_vote(clip_scores: Tensor) -> Tensor:
    """Video scores by the votes of the clips (Shi et al. 2020, Section 4.1).

    Args:
        clip_scores (Tensor): Probabilities of the m clips of each of B
            videos, (B, m, K) or, of one video, (m, K).

    Returns:
        Tensor: ``(votes + mean probability) / (m + 1)``, (B, K) or (K,), of
        the same type. It sums to one, ranks by votes and breaks ties by mean
        probability.
    """
    num_clips, num_classes = clip_scores.shape[-2:]
    votes = F.one_hot(clip_scores.argmax(dim=-1), num_classes).sum(dim=-2)
    return (votes + clip_scores.mean(dim=-2)) / (num_clips + 1)


VOTE_RULES: dict[str, Callable[[Tensor], Tensor]] = dict(vote=majority_vote)
"""Rules by name: (B, m, K) probabilities to (B, K) scores, which rank."""

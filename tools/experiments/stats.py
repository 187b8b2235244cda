"""Mean, spread and paired differences of runs."""

from collections.abc import Sequence
from typing import Optional

import numpy as np

RESAMPLES = 4000
CHUNK = 200
"""Resamples at once; bounds the memory."""


def mean_and_std(values: dict, weights: Optional[dict] = None) -> tuple:
    """Mean over runs, and standard deviation over seeds.

    Args:
        values (dict[tuple[int, int], float]): A number a (seed, fold).
        weights (dict[int, int], optional): How much a fold counts. None is
            all alike.

    Returns:
        tuple[float, float | None]: The mean over all, and the standard
        deviation of the seeds' means over their folds; None of one seed.
    """

    def mean(some: dict) -> float:
        counts = [weights[fold] if weights else 1 for _, fold in some]
        return float(np.average(list(some.values()), weights=counts))

    seeds = sorted({seed for seed, _ in values})
    means = [
        mean({key: v for key, v in values.items() if key[0] == seed})
        for seed in seeds
    ]
    std = float(np.std(means, ddof=1)) if len(means) > 1 else None
    return mean(values), std


def paired_interval(
    differences: Sequence,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Optional[tuple]:
    """Bootstrap interval of the mean difference of two rows.

    Seeds and test videos are both drawn with replacement, so that the
    interval covers the draw of the videos and, from several seeds on, that
    of the training. The videos of a fold are those of all its seeds.

    Args:
        differences (Sequence[ndarray]): For each fold (seeds, videos): 1
            where the row is right and the baseline wrong, -1 the other way
            round, else 0.
        level (float): Share that the interval covers.
        resamples (int): Number of bootstrap samples.
        seed (int): Seed of the draws.

    Returns:
        tuple[float, float]: Its ends, or None without differences.
    """
    if not differences:
        return None
    rng = np.random.default_rng(seed)
    total = np.zeros(resamples)
    for table in differences:
        seeds, videos = table.shape
        for first in range(0, resamples, CHUNK):
            number = min(CHUNK, resamples - first)
            of_seeds = rng.multinomial(
                seeds, np.full(seeds, 1 / seeds), number
            )
            of_videos = rng.multinomial(
                videos, np.full(videos, 1 / videos), number
            )
            sums = ((of_videos @ table.T) * of_seeds).sum(axis=1)
            total[first : first + number] += sums / (seeds * videos)
    low, high = np.quantile(
        total / len(differences), [(1 - level) / 2, (1 + level) / 2]
    )
    return float(low), float(high)

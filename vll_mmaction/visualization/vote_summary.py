"""Numbers of the report page: votes, classes, clip numbers, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..evaluation import ClipResults, vote_scores

NUM_VOTERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100)
"""Numbers of clips at which the vote of so many is tried."""
NUM_BINS = 10
"""Bins of the confidence."""
NUM_LENGTHS = 6
"""Groups of videos by their number of clips, at most."""


@dataclass
class VideoVotes:
    """Votes of V videos with M rows of scores and K classes.

    Attributes:
        votes (ndarray): Class that each row votes for, (M,) int64.
        sure (ndarray): Its probability, (M,) float32.
        winners (ndarray): Class of a video by the vote, (V,) int64.
        means (ndarray): Mean probabilities, (V, K) float64.
        agreement (ndarray): Share of a video's rows that vote for its
            winner, (V,) float64.
        clip_right (ndarray): Share of a video's rows that are right, (V,)
            float64.
    """

    votes: np.ndarray
    sure: np.ndarray
    winners: np.ndarray
    means: np.ndarray
    agreement: np.ndarray
    clip_right: np.ndarray


def count_votes(results: ClipResults) -> VideoVotes:
    """How the clips of each video vote.

    Args:
        results (ClipResults): Per-clip results.

    Returns:
        VideoVotes: In the order of the results.
    """
    starts = results.video_offsets[:-1]
    sizes = np.diff(results.video_offsets)
    votes = results.clip_scores.argmax(axis=1)
    winners = np.array([vote_scores(x).argmax() for x in _videos(results)])

    def share(hits: np.ndarray) -> np.ndarray:
        return np.add.reduceat(hits.astype(np.float64), starts) / sizes

    return VideoVotes(
        votes=votes,
        sure=results.clip_scores.max(axis=1),
        winners=winners,
        means=np.array(
            [x.mean(axis=0, dtype=np.float64) for x in _videos(results)]
        ),
        agreement=share(votes == np.repeat(winners, sizes)),
        clip_right=share(votes == np.repeat(results.labels, sizes)),
    )


def _videos(results: ClipResults) -> list[np.ndarray]:
    return np.split(results.clip_scores, results.video_offsets[1:-1])


def class_table(results: ClipResults, votes: VideoVotes) -> dict[int, dict]:
    """Figures of each class that has videos.

    Args:
        results (ClipResults): Per-clip results.
        votes (VideoVotes): Their votes.

    Returns:
        dict[int, dict]: By class: number of ``videos``; ``vote``, the share
        of them that is right; ``clip``, that of their clips; ``agreement``.
    """
    sizes = np.diff(results.video_offsets)
    table = {}
    for label in np.unique(results.labels):
        own = results.labels == label
        right = votes.clip_right[own] * sizes[own]
        table[int(label)] = dict(
            videos=int(own.sum()),
            vote=float((votes.winners[own] == label).mean()),
            clip=float(right.sum() / sizes[own].sum()),
            agreement=float(votes.agreement[own].mean()),
        )
    return table


def confusion(results: ClipResults, votes: VideoVotes) -> np.ndarray:
    """Videos of each class by the class that won their vote.

    Args:
        results (ClipResults): Per-clip results.
        votes (VideoVotes): Their votes.

    Returns:
        ndarray: (K, K) int64, a row a true class, a column a voted one.
    """
    num_classes = results.clip_scores.shape[1]
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (results.labels, votes.winners), 1)
    return matrix


def length_groups(sizes: np.ndarray) -> list[tuple[int, int]]:
    """Groups of about equally many videos, by their number of clips.

    Args:
        sizes (ndarray): Clips of each video, (V,) int64.

    Returns:
        list[tuple[int, int]]: Fewest and most clips of each group, ascending.
    """
    steps = np.linspace(0, 1, NUM_LENGTHS + 1)
    edges = np.unique(np.quantile(sizes, steps, method='lower'))
    ends = [*(edges[1:-1] - 1), edges[-1]] if len(edges) > 1 else edges
    starts = [edges[0], *(end + 1 for end in ends[:-1])]
    return [
        (int(a), int(b))
        for a, b in zip(starts, ends)
        if ((a <= sizes) & (sizes <= b)).any()
    ]


def accuracy_by_voters(results: ClipResults) -> dict[int, float]:
    """Accuracy of the videos if only some clips of each vote.

    Args:
        results (ClipResults): Per-clip results.

    Returns:
        dict[int, float]: By the number of clips, evenly spread over a video;
        a video with fewer lets all vote. The last number is that of the
        longest video.
    """
    longest = int(np.diff(results.video_offsets).max())
    accuracy = {}
    for most in [n for n in NUM_VOTERS if n < longest] + [longest]:
        right = []
        for scores, label in zip(_videos(results), results.labels):
            count = min(most, len(scores))
            # The middle of each of `count` equal parts.
            places = (2 * np.arange(count) + 1) * len(scores) // (2 * count)
            right.append(vote_scores(scores[places]).argmax() == label)
        accuracy[most] = float(np.mean(right))
    return accuracy


def calibration(
    labels: np.ndarray, means: np.ndarray
) -> tuple[list[dict], float]:
    """How often a video's most probable class is right, by its probability.

    Args:
        labels (ndarray): Classes, (V,) int64.
        means (ndarray): Mean probabilities, (V, K).

    Returns:
        tuple[list[dict], float]: For each bin that has videos their number
        (``videos``), mean probability (``confidence``) and share of right
        ones (``accuracy``); and the expected calibration error, the mean
        distance of the two over the videos.
    """
    confidence = means.max(axis=1)
    right = means.argmax(axis=1) == labels
    places = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    bins = [
        dict(
            videos=int((places == k).sum()),
            confidence=float(confidence[places == k].mean()),
            accuracy=float(right[places == k].mean()),
        )
        for k in np.unique(places)
    ]
    error = sum(
        x['videos'] * abs(x['confidence'] - x['accuracy']) for x in bins
    )
    return bins, error / len(labels)


def top_confusions(
    matrices: Sequence[np.ndarray], number: int = 12
) -> list[tuple[int, int, list[int]]]:
    """The pairs of classes that are mixed up most.

    Args:
        matrices (Sequence[ndarray]): Of :func:`confusion`, one a model.
        number (int): Pairs at most. Defaults to 12.

    Returns:
        list[tuple[int, int, list[int]]]: True class, voted class and number
        of videos with each model; most first.
    """
    total = np.sum(matrices, axis=0)
    total = total - np.diag(np.diag(total))
    order = np.argsort(-total, axis=None, kind='stable')[:number]
    pairs = zip(*np.unravel_index(order, total.shape))
    return [
        (int(true), int(voted), [int(x[true, voted]) for x in matrices])
        for true, voted in pairs
        if total[true, voted]
    ]

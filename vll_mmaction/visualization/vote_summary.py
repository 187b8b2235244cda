"""Numbers of the report: votes of the videos, figures, classes, intervals."""

from collections.abc import Sequence

import numpy as np

from ..evaluation import ClipResults, vote_scores
from ..evaluation.clip_metrics import pairwise_distances

NUM_RESAMPLES = 2000


class VideoVotes:
    """How the clips of V videos vote, with M rows of scores and K classes.

    Args:
        results (ClipResults): Per-clip results.

    Attributes:
        results (ClipResults): The results.
        labels (ndarray): True class of each video, (V,) int64.
        labelled (bool): Whether it is known of all.
        sizes (ndarray): Rows of each video, (V,) int64.
        votes (ndarray): Class that each row votes for, (M,) int64.
        scores (ndarray): Vote scores of each video, (V, K) float64.
        winners (ndarray): Class of each video by the vote, (V,) int64.
        means (ndarray): Mean probabilities, (V, K) float64.
        right (ndarray): Is the winner right? (V,) bool.
        clips_right (ndarray): Rows that are right, (V,) float64.
        winner_votes (ndarray): Rows that vote for the winner, (V,) float64.
    """

    def __init__(self, results: ClipResults) -> None:
        self.results = results
        self.labels = results.labels
        self.labelled = bool(results.labels.min() >= 0)
        self.sizes = np.diff(results.video_offsets)
        self.votes = results.clip_scores.argmax(axis=1)
        videos = results.split(results.clip_scores)
        self.scores = np.array([vote_scores(x) for x in videos])
        self.winners = self.scores.argmax(axis=1)
        self.means = np.array(
            [x.mean(axis=0, dtype=np.float64) for x in videos]
        )
        self.right = self.winners == self.labels
        self.clips_right, self.winner_votes = (
            results.sums(self.votes == np.repeat(classes, self.sizes))
            for classes in (self.labels, self.winners)
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def agreement(self) -> np.ndarray:
        """Share of a video's rows that vote for its winner, (V,) float64."""
        return self.winner_votes / self.sizes

    def probability(self, classes: np.ndarray) -> np.ndarray:
        """Mean probability of a class of each video, (V,) float64."""
        return self.means[np.arange(len(self)), classes]

    def parts(self) -> np.ndarray:
        """The metric's figures as what each video adds to them.

        Returns:
            ndarray: (V, 5, 2) float64, numerators and denominators: a
            figure is the quotient of their sums. The figures are the videos
            right by vote and by mean, the clips right, agreement and
            pairwise distance.
        """
        numerators = [
            self.right,
            self.means.argmax(axis=1) == self.labels,
            self.clips_right,
            self.agreement,
            pairwise_distances(self.results),
        ]
        ones = np.ones(len(self))
        denominators = [ones, ones, self.sizes, ones, ones]
        return np.stack([numerators, denominators], axis=-1).swapaxes(0, 1)


def figures(parts: np.ndarray) -> np.ndarray:
    """Figures of all videos, from :meth:`VideoVotes.parts`, (5,) float64."""
    numerators, denominators = np.moveaxis(parts.sum(axis=0), -1, 0)
    return numerators / denominators


def change_interval(
    a: np.ndarray, b: np.ndarray, num_resamples: int = NUM_RESAMPLES
) -> np.ndarray:
    """95% intervals of the change of figures from one model to another.

    The paired percentile bootstrap (Efron and Tibshirani 1993, Section 13.3):
    the videos are drawn again with replacement, the same for both models.

    Args:
        a (ndarray): :meth:`VideoVotes.parts` of the first model, (V, n, 2).
        b (ndarray): That of the second.
        num_resamples (int): Draws. Defaults to 2,000; their seed is 0.

    Returns:
        ndarray: Lower and upper ends, (2, n) float64.
    """
    rng = np.random.default_rng(0)
    shape = (2, *a.shape[1:])
    table = np.concatenate([a, b], axis=1).reshape(len(a), -1)
    even = np.full(len(a), 1 / len(a))
    changes = []
    for _ in range(num_resamples):
        sums = (rng.multinomial(len(a), even) @ table).reshape(shape)
        first, second = sums[..., 0] / sums[..., 1]
        changes.append(second - first)
    return np.quantile(changes, [0.025, 0.975], axis=0)


def class_table(votes: VideoVotes) -> dict[str, np.ndarray]:
    """Figures of each class, (K,) each, nan for a class without videos.

    They are the number of ``videos``; ``accuracy``, the share of them that is
    right by vote; ``clip_accuracy``, that of their clips; ``agreement``.
    """

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(votes.labels, values, votes.means.shape[1])

    videos = total(np.ones(len(votes)))
    with np.errstate(invalid='ignore'):
        return dict(
            videos=videos.astype(np.int64),
            accuracy=total(votes.right) / videos,
            clip_accuracy=total(votes.clips_right) / total(votes.sizes),
            agreement=total(votes.agreement) / videos,
        )


def confusion(votes: VideoVotes) -> np.ndarray:
    """Videos by true class (row) and voted class (column), (K, K) int64."""
    matrix = np.zeros((votes.means.shape[1],) * 2, dtype=np.int64)
    np.add.at(matrix, (votes.labels, votes.winners), 1)
    return matrix


def top_confusions(
    matrices: Sequence[np.ndarray], number: int = 12
) -> list[tuple[int, int, list[int]]]:
    """The pairs of classes that are mixed up most, most first.

    Args:
        matrices (Sequence[ndarray]): Of :func:`confusion`, one a model.
        number (int): Pairs at most. Defaults to 12.

    Returns:
        list[tuple]: True class, voted class and videos with each model.
    """
    total = np.sum(matrices, axis=0)
    np.fill_diagonal(total, 0)
    order = np.argsort(-total, axis=None, kind='stable')[:number]
    pairs = np.stack(np.unravel_index(order, total.shape), axis=1).tolist()
    return [
        (true, voted, [int(x[true, voted]) for x in matrices])
        for true, voted in pairs
        if total[true, voted]
    ]


def accuracy_by_voters(votes: VideoVotes) -> dict[int, float]:
    """Accuracy of the videos if only 1, 2, 4, ... clips of each vote.

    They are evenly spread over a video; a video with fewer lets all vote. With
    the last number all clips of the longest video vote.
    """
    most, accuracy = 1, {}
    while True:
        right = []
        for scores, label in zip(
            votes.results.split(votes.results.clip_scores), votes.labels
        ):
            count = min(most, len(scores))
            # The middle of each of `count` equal parts.
            places = (2 * np.arange(count) + 1) * len(scores) // (2 * count)
            right.append(vote_scores(scores[places]).argmax() == label)
        accuracy[most] = float(np.mean(right))
        if most >= votes.sizes.max():
            return accuracy
        most *= 2

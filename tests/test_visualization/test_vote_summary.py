"""The report's numbers, against the metric and against plain loops."""

import numpy as np
import pytest
from clip_results import make_results

from vll_mmaction.evaluation import consistency_figures, vote_scores
from vll_mmaction.visualization import vote_summary

NUM_CLASSES = 5


@pytest.fixture
def results():
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 12, 60)
    labels = rng.integers(0, NUM_CLASSES - 1, 60)  # the last has no videos
    logits = rng.normal(size=(sizes.sum(), NUM_CLASSES))
    logits[np.arange(sizes.sum()), np.repeat(labels, sizes)] += 0.8
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return make_results(np.split(scores, np.cumsum(sizes)[:-1]), labels)


@pytest.fixture
def votes(results):
    return vote_summary.VideoVotes(results)


def test_figures_are_those_of_the_metric(results, votes):
    metric = consistency_figures(results)
    names = 'video_acc_vote', 'video_acc_mean', 'clip_acc', 'agreement'
    expected = [metric[x] for x in (*names, 'pairwise_distance')]
    found = vote_summary.figures(votes.parts())
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert 0.2 < found[0] < 1  # or it would show nothing


def test_change_interval(votes):
    a, b = votes.parts(), votes.parts()
    assert not vote_summary.change_interval(a, b).any()
    # 60 videos, of which 12 more are right with B and 3 with A.
    a[:, 0, 0] = np.repeat([0, 1, 1], [12, 3, 45])
    b[:, 0, 0] = np.repeat([1, 0, 1], [12, 3, 45])
    low, high = vote_summary.change_interval(a, b)
    # The normal approximation of a mean of paired differences.
    difference = b[:, 0, 0] - a[:, 0, 0]
    half = 1.96 * difference.std() / 60**0.5
    expected = [difference.mean() - half, difference.mean() + half]
    np.testing.assert_allclose([low[0], high[0]], expected, atol=0.02)
    again = vote_summary.change_interval(a, b)
    np.testing.assert_array_equal([low, high], again)
    # Clips: a video with more of them counts more.
    a[:, 2] = [[1, 4]] * 60
    b[:, 2] = [[0, 4]] * 30 + [[4, 4]] * 30
    low, high = vote_summary.change_interval(a, b)
    assert low[2] < 0.25 < high[2]


def test_class_table(results, votes):
    table = vote_summary.class_table(votes)
    assert table['videos'].tolist()[4] == 0
    assert np.isnan(table['accuracy'][4])
    for label in range(4):
        row = {name: column[label] for name, column in table.items()}
        own = np.flatnonzero(results.labels == label)
        clips = np.concatenate(
            [
                np.arange(*results.video_offsets[video : video + 2])
                for video in own
            ]
        )
        assert row['videos'] == len(own)
        assert row['accuracy'] == (votes.winners[own] == label).mean()
        right = results.clip_scores[clips].argmax(axis=1) == label
        assert row['clip_accuracy'] == pytest.approx(right.mean())
        agreement = votes.agreement[own].mean()
        assert row['agreement'] == pytest.approx(agreement)


def test_confusion(results, votes):
    matrix = vote_summary.confusion(votes)
    assert matrix.sum() == 60
    for label, winner in zip(results.labels, votes.winners):
        matrix[label, winner] -= 1
    assert not matrix.any()


def test_top_confusions():
    a = np.array([[9, 2, 0], [0, 9, 1], [0, 0, 9]])
    b = np.array([[9, 0, 0], [4, 9, 0], [0, 0, 9]])
    pairs = vote_summary.top_confusions([a, b])
    assert pairs == [(1, 0, [0, 4]), (0, 1, [2, 0]), (1, 2, [1, 0])]
    assert vote_summary.top_confusions([a, b], number=1) == pairs[:1]
    assert vote_summary.top_confusions([np.eye(3, dtype=int)]) == []


def test_accuracy_by_voters(results, votes):
    accuracy = vote_summary.accuracy_by_voters(votes)
    longest = np.diff(results.video_offsets).max()
    assert longest == 11
    assert list(accuracy) == [1, 2, 4, 8, 16]
    # All clips: the vote. One clip: the middle one.
    assert accuracy[16] == (votes.winners == results.labels).mean()
    starts, ends = results.video_offsets[:-1], results.video_offsets[1:]
    middle = results.clip_scores[(starts + ends) // 2].argmax(axis=1)
    assert accuracy[1] == (middle == results.labels).mean()
    right = 0
    for first, end, label in zip(starts, ends, results.labels):
        scores = results.clip_scores[first:end]
        m = end - first
        if m > 2:
            scores = scores[[m // 4, 3 * m // 4]]
        right += vote_scores(scores).argmax() == label
    assert accuracy[2] == right / 60

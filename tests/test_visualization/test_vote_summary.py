"""The report's numbers, against the metric and against plain loops."""

import numpy as np
import pytest

from vll_mmaction.evaluation import (
    ClipResults,
    consistency_figures,
    vote_scores,
)
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
    return ClipResults(
        clip_scores=scores.astype(np.float32),
        video_offsets=np.cumsum([0, *sizes]),
        labels=labels,
        filenames=np.array([f'{k}.avi' for k in range(60)]),
        frame_inds=np.zeros(0, np.int64),
        frame_offsets=np.zeros(61, np.int64),
        total_frames=np.full(60, -1),
        views_per_clip=np.ones(60, np.int64),
        class_names=np.zeros(0, np.str_),
        config_name=np.array('some'),
    )


@pytest.fixture
def votes(results):
    return vote_summary.count_votes(results)


def test_votes_are_those_of_the_metric(results, votes):
    figures = consistency_figures(results)
    right = votes.winners == results.labels
    assert right.mean() == figures['video_acc_vote']
    assert votes.agreement.mean() == pytest.approx(figures['agreement'])
    right = votes.means.argmax(axis=1) == results.labels
    assert right.mean() == figures['video_acc_mean']
    sizes = np.diff(results.video_offsets)
    clips = (votes.clip_right * sizes).sum() / sizes.sum()
    assert clips == pytest.approx(figures['clip_acc'])
    assert 0.2 < figures['video_acc_vote'] < 1  # or it would show nothing


def test_class_table(results, votes):
    table = vote_summary.class_table(results, votes)
    assert list(table) == [0, 1, 2, 3]
    for label, row in table.items():
        own = np.flatnonzero(results.labels == label)
        clips = np.concatenate(
            [
                np.arange(*results.video_offsets[video : video + 2])
                for video in own
            ]
        )
        assert row['videos'] == len(own)
        assert row['vote'] == (votes.winners[own] == label).mean()
        right = results.clip_scores[clips].argmax(axis=1) == label
        assert row['clip'] == pytest.approx(right.mean())
        assert row['agreement'] == votes.agreement[own].mean()


def test_confusion(results, votes):
    matrix = vote_summary.confusion(results, votes)
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


@pytest.mark.parametrize(
    'sizes',
    [[1], [4, 4, 4], [1, 9], list(range(1, 100)), [1] * 50 + [2, 30, 31]],
)
def test_length_groups_hold_every_video_once(sizes):
    groups = vote_summary.length_groups(np.array(sizes))
    assert 1 <= len(groups) <= vote_summary.NUM_LENGTHS
    for size in sizes:
        assert sum(first <= size <= last for first, last in groups) == 1
    assert all(
        any(first <= size <= last for size in sizes) for first, last in groups
    )


def test_accuracy_by_voters(results, votes):
    accuracy = vote_summary.accuracy_by_voters(results)
    longest = np.diff(results.video_offsets).max()
    assert list(accuracy) == [1, 2, 3, 4, 6, 8, longest]
    # All clips: the vote. One clip: the middle one.
    assert accuracy[longest] == (votes.winners == results.labels).mean()
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


def test_calibration():
    means = np.array([[0.62, 0.38], [0.66, 0.34], [0.05, 0.95], [1.0, 0.0]])
    bins, error = vote_summary.calibration(np.array([0, 1, 1, 0]), means)
    assert [x['videos'] for x in bins] == [2, 2]
    assert [x['accuracy'] for x in bins] == [0.5, 1]
    assert [x['confidence'] for x in bins] == pytest.approx([0.64, 0.975])
    assert error == pytest.approx((2 * 0.14 + 2 * 0.025) / 4)

"""The study of losses: its terms are what they say, and it trains."""

import csv
import math

import loss_study
import numpy as np
import pytest
import torch


def batch():
    """Three videos of 3, 1 and 2 clips, not side by side."""
    torch.manual_seed(0)
    logits = torch.randn(6, 4, dtype=torch.float64) * 2
    logits[0, 2] = 5  # a right clip
    label = torch.tensor([2, 0, 2, 1, 2, 1])
    video = torch.tensor([0, 1, 0, 2, 0, 2])
    return logits.requires_grad_(), label, video


def by_video(logits, label, video):
    probs = logits.detach().softmax(1).numpy()
    for v in range(3):
        own = (video == v).numpy()
        yield probs[own], int(label[own][0])


def slow_jensen_shannon(probs, label):
    entropy = [-sum(p * math.log(p) for p in clip) for clip in probs]
    mean = -sum(p * math.log(p) for p in probs.mean(0))
    return mean - sum(entropy) / len(entropy)


def slow_kl_to_mean(probs, label):
    mean = probs.mean(0)
    away = [
        sum(m * math.log(m / p) for m, p in zip(mean, clip)) for clip in probs
    ]
    return sum(away) / len(away)


def slow_abstaining(probs, label):
    right = [clip for clip in probs if clip.argmax() == label]
    wrong = [clip for clip in probs if clip.argmax() != label]
    if not right or not wrong:
        return 0
    target = np.mean(right, axis=0)
    pulls = [
        np.linalg.norm(clip - target)
        * (1 + sum(p * math.log(p) for p in clip) / math.log(len(clip)))
        for clip in wrong
    ]
    return sum(pulls) / len(pulls)


@pytest.mark.parametrize(
    ('term', 'slow'),
    [
        (loss_study.jensen_shannon, slow_jensen_shannon),
        (loss_study.kl_to_mean, slow_kl_to_mean),
        (loss_study.abstaining, slow_abstaining),
    ],
)
def test_terms(term, slow):
    logits, label, video = batch()
    values = [slow(*one) for one in by_video(logits, label, video)]
    loss = term(logits, label, video)
    assert loss.item() == pytest.approx(np.mean(values), rel=1e-9)
    assert any(values)
    loss.backward()
    assert torch.isfinite(logits.grad).all() and logits.grad.any()


def test_videos_are_those_of_the_files():
    videos = loss_study.Videos.make('test', 9, 'some')
    plans = loss_study.plan_videos('test', 9)
    counts = [max(1, plan.num_frames // 16) for plan in plans]
    assert np.bincount(videos.video).tolist() == counts
    assert videos.labels.tolist() == [plan.label for plan in plans]
    number = int(np.argmax(counts))
    frames = np.stack([*loss_study.render_video(plans[number])])
    first = int(np.searchsorted(videos.video, number))
    crop = videos.crops([first + 1], 40)
    assert crop.shape == (1, 3, 16, 40, 40)
    expected = frames[16:32, 4:44, 12:52, ::-1]
    assert np.array_equal(crop[0].permute(1, 2, 3, 0), expected)


def test_rows_are_trained_and_compared(tmp_path, capsys):
    texts = []
    for name in ('some/runs.csv', 'again.csv'):
        out = tmp_path / name
        loss_study.main(
            ['--rows', 'clip', 'nll', '--seeds', '3', '--out', str(out)]
            + ['--videos', '8', '--test-videos', '8', '--ambiguity', 'most']
        )
        texts.append(out.read_text())
    table = capsys.readouterr().out.splitlines()
    assert [line.split(' | ')[0] for line in table[4:6]] == [
        '| clip level, CE',
        '| CE of the mean prediction',
    ]
    rows = list(csv.DictReader(texts[0].splitlines()))
    assert [row['row'] for row in rows] == ['clip', 'nll']
    assert all(0 < float(row['agreement']) <= 1 for row in rows)
    # The same seed gives the same numbers.
    assert texts[0] == texts[1]

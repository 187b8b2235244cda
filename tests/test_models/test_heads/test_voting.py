"""The vote rules: the same for heads (torch) and for result files (numpy)."""

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS

from vll_mmaction.evaluation import vote_scores
from vll_mmaction.models.heads.voting import VOTE_RULES, majority_vote


@pytest.mark.parametrize('num_clips', [1, 2, 7])
def test_batched_and_single_videos_agree(num_clips):
    scores = torch.randn(5, num_clips, 4).softmax(dim=2)
    batch = majority_vote(scores)
    for video, expected in zip(scores, batch):
        torch.testing.assert_close(majority_vote(video), expected)
        votes = np.bincount(video.argmax(dim=1), minlength=4)
        plain = (votes + video.numpy().mean(axis=0)) / (num_clips + 1)
        np.testing.assert_allclose(expected, plain, rtol=1e-5)
        np.testing.assert_allclose(vote_scores(video.numpy()), plain, 1e-5)


def test_a_rule_of_ones_own(monkeypatch):
    config = dict(type='VideoLevelI3DHead', num_classes=3, in_channels=2)
    with pytest.raises(ValueError, match="'vote'.*but got 'last'"):
        MODELS.build(dict(config, average_clips='last'))
    monkeypatch.setitem(VOTE_RULES, 'last', lambda scores: scores[:, -1])
    head = MODELS.build(dict(config, average_clips='last'))
    logits = torch.randn(6, 3)
    torch.testing.assert_close(
        head.average_clip(logits, num_segs=3),
        logits.softmax(dim=1)[[2, 5]],
    )

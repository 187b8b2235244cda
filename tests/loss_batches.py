"""Batches of clips for the losses, with labels and ids."""

import numpy as np
import torch


def ragged_batch(seed, sizes=None, num_classes=None):
    """Logits (float64), labels and shuffled ids of videos of 1 to 60 clips.

    The videos are in turn all right, all wrong and mixed.
    """
    rng = np.random.default_rng(seed)
    sizes = sizes or rng.integers(1, 61, size=rng.integers(1, 8)).tolist()
    num_classes = num_classes or int(rng.choice([2, 3, 17, 101, 400]))
    logits, labels, ids = [], [], []
    for video, m in enumerate(sizes):
        label = int(rng.integers(num_classes))
        rows = rng.normal(scale=2, size=(m, num_classes))
        rows[:, label] += (20, -20, 3)[(video + seed) % 3]
        logits.append(rows)
        labels += [label] * m
        ids += [video * 1000 - 5] * m
    order = rng.permutation(len(labels))
    return (
        torch.from_numpy(np.concatenate(logits)[order]),
        torch.tensor(labels)[order],
        np.array(ids)[order].tolist(),
    )

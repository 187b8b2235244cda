#!/usr/bin/env python
"""Compares losses and recipes in memory, many in the time of one training.

The quickstart's network, optimiser and generated videos, without files,
decoding, processes and checkpoints: what is left is what a loss does. Rows
go on from the conv layers of one clip-level model a seed, as in Table 1 of
the paper, and see the same number of clips. A row that looks good here
deserves a config and a run with ``tools/experiments.py``.

Example::

    python tools/loss_study.py --ambiguity most --seeds 0 1 2 --rows clip ccl
    python tools/loss_study.py --list
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from experiments.stats import paired_interval
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from quickstart.make_videos import (
    AMBIGUITIES,
    SEGMENT,
    plan_videos,
    render_video,
)

from vll_mmaction.evaluation import vote_scores
from vll_mmaction.models import (
    ConsistentConstraintLoss,
    VideoPredictionLoss,
    video_level_loss,
)

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/quickstart'
TEST_BATCH = 64


# ------------------------------------------------------------ consistency
# Terms that did not earn a place in the package. Each takes logits
# (M, K), label (M,) and ids (M,) of videos, and gives the mean over videos.


def _mean_over_videos(values, video):
    """Mean (V, ...) of the clips of each video."""
    counts = torch.bincount(video).to(values)
    total = values.new_zeros(len(counts), *values.shape[1:])
    total = total.index_add(0, video, values)
    return total / counts.reshape(-1, *[1] * (values.dim() - 1))


def _entropy(probs):
    return torch.special.entr(probs).sum(dim=1)


def jensen_shannon(logits, label, video):
    """Entropy of the mean prediction less the mean entropy."""
    probs = logits.softmax(dim=1)
    mean = _mean_over_videos(probs, video)
    spread = _entropy(mean) - _mean_over_videos(_entropy(probs), video)
    return spread.mean()


def kl_to_mean(logits, label, video):
    """Divergence from the video's mean prediction, which stays put."""
    mean = _mean_over_videos(logits.softmax(dim=1), video)[video].detach()
    away = (mean * (mean.clamp(min=1e-12).log() - logits.log_softmax(1))).sum(
        1
    )
    return _mean_over_videos(away, video).mean()


def abstaining(logits, label, video):
    """Eq. 5, where an unsure clip is pulled less."""
    probs = logits.softmax(dim=1)
    right = (logits.argmax(dim=1) == label).to(probs.dtype)
    counts = torch.bincount(video).to(probs.dtype)
    num_right = _mean_over_videos(right, video) * counts
    target = _mean_over_videos(probs * right[:, None], video)
    target = (target * (counts / num_right.clamp(min=1))[:, None])[video]
    sure = 1 - _entropy(probs.detach()) / np.log(probs.shape[1])
    pull = torch.linalg.vector_norm(probs - target, dim=1)
    pull = pull * sure * (1 - right) * (num_right > 0)[video]
    num_wrong = (counts - num_right).clamp(min=1)
    return (_mean_over_videos(pull, video) * counts / num_wrong).mean()


def mode(**options):
    """A term of the package."""
    return ConsistentConstraintLoss(**options)


# ------------------------------------------------------------------- rows


@dataclass
class Row:
    """A training.

    Attributes:
        what (str): Its line in the table.
        alpha (float): Weight of the consistency term.
        term (Callable): The consistency term; None is the mean
            cross-entropy of the batch's clips.
        whole (bool): A step is whole videos, else single clips.
        ramp (bool): Let alpha rise linearly from 0 over the first half.
        videos (int): Videos a step.
        max_clips (int): Clips of a video in a step, drawn anew each time.
            The videos are then gone through twice an epoch.
        scratch (bool): Start from random conv layers, as long as the start
            and the row together.
        lr (float): Factor of the config's learning rate.
    """

    what: str
    alpha: float = 0.3
    term: Callable = field(default_factory=mode)
    whole: bool = True
    ramp: bool = False
    videos: int = 8
    max_clips: int = 0
    scratch: bool = False
    lr: float = 1


euc_mse_sum = partial(mode, mode='euc', distance='mse', reduction='sum')
ROWS = dict(
    clip=Row('clip level, CE', term=None, whole=False),
    ce_clips=Row('video level, CE, clips weigh the same', term=None),
    ce=Row('video level, CE', alpha=0),
    err=Row('err (Eq. 5)', term=mode(mode='err')),
    euc=Row('euc (Eq. 4)', term=mode(mode='euc')),
    ccl=Row('ccl (Eq. 6)'),
    ccl_1=Row('ccl, α = 0.1', alpha=0.1),
    ccl_6=Row('ccl, α = 0.6', alpha=0.6),
    ccl_ramp=Row('ccl, α ramped up', ramp=True),
    ccl_detach=Row(
        'ccl, no gradient through R', term=mode(detach_target=True)
    ),
    ccl_logit=Row('ccl, of logits', term=mode(score='logit'), alpha=0.1),
    ccl_mse=Row('ccl, mean squared', term=mode(distance='mse')),
    released=Row("the released code's term", alpha=0.25, term=euc_mse_sum()),
    ccl_2=Row('ccl, 2 videos a step', videos=2, lr=0.5),
    ce_2=Row('video level, CE, 2 videos a step', videos=2, lr=0.5, alpha=0),
    ccl_32=Row('ccl, 32 videos a step', videos=32, lr=2),
    # About as many clips a step and an epoch as the others.
    ce_few=Row(
        'video level, CE, 4 clips of 14 videos',
        videos=14,
        max_clips=4,
        alpha=0,
    ),
    ccl_few=Row('ccl, 4 clips of 14 videos', videos=14, max_clips=4),
    nll_few=Row(
        'CE of the mean prediction, 4 clips of 14 videos',
        alpha=0.5,
        term=VideoPredictionLoss(),
        videos=14,
        max_clips=4,
    ),
    clip_scratch=Row(
        'clip level, CE, from scratch', term=None, whole=False, scratch=True
    ),
    ce_scratch=Row('video level, CE, from scratch', alpha=0, scratch=True),
    ccl_scratch=Row('ccl, from scratch', scratch=True),
    nll=Row('CE of the mean prediction', alpha=0.5, term=VideoPredictionLoss()),
    nll_1=Row(
        'CE of the mean prediction alone', alpha=1, term=VideoPredictionLoss()
    ),
    js=Row('Jensen-Shannon divergence', term=jensen_shannon),
    kl=Row('KL from the mean prediction', term=kl_to_mean),
    abstain=Row('err, unsure clips pulled less', term=abstaining),
)


# ------------------------------------------------------------------- data


@dataclass
class Videos:
    """Decoded videos of a split.

    Attributes:
        clips (ndarray): (M, T, H, W, 3) uint8, RGB, video by video.
        video (ndarray): Video of each clip, (M,).
        labels (ndarray): Class of each video, (V,).
    """

    clips: np.ndarray
    video: np.ndarray
    labels: np.ndarray

    @classmethod
    def make(cls, split, number, ambiguity):
        """Draw the videos that make_videos.py would write."""
        plans = plan_videos(split, number, ambiguity=ambiguity)
        clips, video = [], []
        for index, plan in enumerate(plans):
            frames = np.stack([*render_video(plan)])[..., ::-1]
            whole = max(1, len(frames) // SEGMENT)
            # A video shorter than a clip starts over.
            inds = np.arange(whole * SEGMENT) % len(frames)
            clips.append(
                frames[inds].reshape(whole, SEGMENT, *frames.shape[1:])
            )
            video += [index] * whole
        labels = np.array([plan.label for plan in plans])
        return cls(np.concatenate(clips), np.array(video), labels)

    def crops(self, chosen, size, rng=None):
        """Clips (N, 3, T, size, size) uint8; cropped centrally without rng."""
        height, width = self.clips.shape[2:4]
        room = np.array([height - size, width - size]) + 1
        out = np.empty((len(chosen), SEGMENT, size, size, 3), np.uint8)
        for i, clip in enumerate(chosen):
            y, x = (room // 2) if rng is None else rng.integers(room)
            out[i] = self.clips[clip, :, y : y + size, x : x + size]
        return torch.from_numpy(out).permute(0, 4, 1, 2, 3)


# --------------------------------------------------------------- training


class Study:
    """Trains rows on one set of videos.

    Args:
        train (Videos): Training videos.
        test (Videos): Test videos.
        device (str): Device of the network.
    """

    def __init__(self, train, test, device):
        self.train, self.test, self.device = train, test, device
        self.start = Config.fromfile(CONFIGS / 'clip_c3d.py')
        self.tune = Config.fromfile(CONFIGS / 'clip_c3d_finetune.py')
        self.size = self.start.model.backbone.input_size[-1]
        self.models = {}

    def _model(self, seed):
        torch.manual_seed(seed)
        config = self.start.model.copy()
        config.backbone.pretrained_convs = None
        model = MODELS.build(config)
        model.init_weights()
        return model.to(self.device)

    def _scores(self, model, clips):
        clips = clips.to(self.device).float()
        mean, std = model.data_preprocessor.mean, model.data_preprocessor.std
        clips = (clips - mean.view(3, 1, 1, 1)) / std.view(3, 1, 1, 1)
        return model.cls_head(model.backbone(clips))

    def _batches(self, row, rng, size):
        """An epoch of steps of single clips, or of whole videos."""
        if not row.whole:
            order = rng.permutation(len(self.train.video))
            return np.array_split(order, max(1, round(len(order) / size)))
        first = np.searchsorted(
            self.train.video, np.arange(len(self.train.labels) + 1)
        )
        steps = []
        for _ in range(2 if row.max_clips else 1):
            videos = rng.permutation(len(self.train.labels))
            for begin in range(0, len(videos), row.videos):
                step = []
                for video in videos[begin : begin + row.videos]:
                    clips = np.arange(first[video], first[video + 1])
                    if row.max_clips:
                        clips = rng.permutation(clips)[: row.max_clips]
                    step.append(clips)
                steps.append(np.concatenate(step))
        return steps

    def _fit(self, model, row, config, seed, epochs, batch, milestones):
        rng = np.random.default_rng((seed, 1))
        torch.manual_seed(seed + 1)
        wrapper = config.optim_wrapper.copy()
        wrapper.pop('accumulative_counts', None)
        optim = build_optim_wrapper(model, wrapper)
        rate = config.optim_wrapper.optimizer.lr * row.lr
        model.train()
        for epoch in range(epochs):
            decay = 0.1 ** sum(epoch >= m for m in milestones)
            for group in optim.optimizer.param_groups:
                group['lr'] = rate * decay
            batches = self._batches(row, rng, batch)
            for step, chosen in enumerate(batches):
                done = (epoch + step / len(batches)) / epochs
                alpha = row.alpha * (min(1, 2 * done) if row.ramp else 1)
                video = self.train.video[chosen]
                label = torch.from_numpy(self.train.labels[video])
                label = label.to(self.device)
                logits = self._scores(
                    model, self.train.crops(chosen, self.size, rng)
                )
                if row.term is None:
                    loss = torch.nn.functional.cross_entropy(logits, label)
                else:
                    _, ids = np.unique(video, return_inverse=True)
                    loss = sum(
                        video_level_loss(
                            logits,
                            label,
                            torch.from_numpy(ids),
                            alpha=alpha,
                            ccl=row.term,
                        ).values()
                    )
                optim.update_params(loss)

    def _start(self, seed):
        """The clip-level model of a seed whose conv layers rows start from."""
        if seed not in self.models:
            model = self._model(seed)
            config = self.start
            self._fit(
                model,
                ROWS['clip'],
                config,
                seed,
                config.train_cfg.max_epochs,
                config.train_dataloader.batch_size,
                config.param_scheduler[0].milestones,
            )
            self.models[seed] = model
        return self.models[seed]

    def run(self, row, seed):
        """Train a row and test it.

        Returns:
            tuple[dict, ndarray]: Accuracies, and whether the vote is right
            for each test video.
        """
        config = self.tune
        epochs = config.train_cfg.max_epochs
        milestones = list(config.param_scheduler[0].milestones)
        model = self._model(seed + 1000)
        if row.scratch:
            before = self.start.train_cfg.max_epochs
            epochs, milestones = (
                epochs + before,
                [m + before for m in milestones],
            )
        else:
            convs = {
                name: value
                for name, value in self._start(seed).state_dict().items()
                if 'conv' in name
            }
            model.load_state_dict(convs, strict=False)
        batch = config.train_dataloader.batch_size
        self._fit(model, row, config, seed, epochs, batch, milestones)
        return self._evaluate(model)

    @torch.no_grad()
    def _evaluate(self, model):
        model.eval()
        clips = np.arange(len(self.test.video))
        probs = [
            self._scores(model, self.test.crops(part, self.size)).softmax(1)
            for part in np.split(
                clips, range(TEST_BATCH, len(clips), TEST_BATCH)
            )
        ]
        probs = torch.cat(probs).cpu().numpy()
        labels = self.test.labels
        first = np.searchsorted(self.test.video, np.arange(len(labels)))
        videos = np.split(probs, first[1:])
        right = np.array(
            [vote_scores(p).argmax() == y for p, y in zip(videos, labels)]
        )
        mean = [p.mean(0).argmax() == y for p, y in zip(videos, labels)]
        votes = [np.bincount(p.argmax(1)).max() / len(p) for p in videos]
        return dict(
            vote=right.mean(),
            mean_prob=np.mean(mean),
            clip=np.mean(probs.argmax(1) == labels[self.test.video]),
            agreement=np.mean(votes),
        ), right.astype(int)


# ------------------------------------------------------------------ table

COLUMNS = ('vote', 'mean_prob', 'clip', 'agreement')


def table(results, rights):
    """Markdown of all rows, with differences to the first one."""
    base = next(iter(results))
    lines = [
        '| training | vote | difference to the first | mean probability '
        '| clips | agreement |',
        '| --- |' + ' ---: |' * 5,
    ]
    for name, runs in results.items():
        cells = {}
        for column in COLUMNS:
            values = [100 * run[column] for run in runs.values()]
            cells[column] = f'{np.mean(values):.1f}'
            if len(values) > 1:
                cells[column] += f' ± {np.std(values, ddof=1):.1f}'
        seeds = [s for s in runs if s in rights[base]]
        difference = ''
        if name != base and seeds:
            away = np.array([rights[name][s] - rights[base][s] for s in seeds])
            low, high = paired_interval([away])
            difference = (
                f'{100 * away.mean():+.1f} [{100 * low:+.1f}, '
                f'{100 * high:+.1f}]'
            )
        lines.append(
            f'| {ROWS[name].what} | {cells["vote"]} | {difference} | '
            f'{cells["mean_prob"]} | {cells["clip"]} | {cells["agreement"]} |'
        )
    return '\n'.join(lines)


def main(args=None):
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--list', action='store_true', help='show the rows')
    parser.add_argument(
        '--rows',
        nargs='+',
        choices=ROWS,
        default=list(ROWS),
        metavar='ROW',
        help='the first is what the others are compared with',
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--ambiguity', choices=AMBIGUITIES, default='some')
    parser.add_argument('--videos', type=int, default=208)
    parser.add_argument('--test-videos', type=int, default=416)
    parser.add_argument('--out', type=Path, help='CSV file, one line a run')
    args = parser.parse_args(args)
    if args.list:
        for name, row in ROWS.items():
            print(f'{name:14}{row.what}')
        return
    cv2.setNumThreads(0)
    init_default_scope('mmaction')
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    study = Study(
        Videos.make('train', args.videos, args.ambiguity),
        Videos.make('test', args.test_videos, args.ambiguity),
        device,
    )
    results = {name: {} for name in args.rows}
    rights = {name: {} for name in args.rows}
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        with open(args.out, 'w', newline='') as file:
            csv.writer(file).writerow(['ambiguity', 'row', 'seed', *COLUMNS])
    for seed in args.seeds:
        for name in args.rows:
            began = time.time()
            figures, right = study.run(ROWS[name], seed)
            results[name][seed], rights[name][seed] = figures, right
            values = [round(float(figures[c]), 4) for c in COLUMNS]
            took = f'{time.time() - began:.0f} s'
            print(seed, name, *values, took, file=sys.stderr, flush=True)
            if args.out:
                with open(args.out, 'a', newline='') as file:
                    line = [args.ambiguity, name, seed, *values]
                    csv.writer(file).writerow(line)
        print(f'Seeds up to {seed}:\n\n{table(results, rights)}\n')


if __name__ == '__main__':
    main()

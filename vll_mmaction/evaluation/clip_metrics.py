"""How a video's clips vote: figures, and a file of all clip scores."""

import itertools
import logging
import os
import os.path as osp
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np
import torch
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, print_log
from scipy.spatial.distance import pdist
from scipy.special import softmax

from ..models.heads.voting import majority_vote

# Networks that tell clips apart do not come near the first.
_SAME_ANSWERS = 0.95
_SAME_LABELS = 0.6

_FORMAT = 'vll_mmaction clip results'
_FORMAT_VERSION = 2
# Version 1 had no clip weights.
_READ_VERSIONS = (1, _FORMAT_VERSION)


@dataclass
class ClipResults:
    """Clip scores of V videos, as :class:`ClipConsistencyMetric` writes them.

    A row of scores is a view: a clip, or one crop of it if the test takes
    several crops. Rows of video v are ``video_offsets[v]`` to
    ``video_offsets[v + 1]``; the views of a clip are side by side.

    Attributes:
        clip_scores (ndarray): Probabilities, (M, K) float32.
        video_offsets (ndarray): (V + 1,) int64, from 0 to M.
        labels (ndarray): Classes, (V,) int64, -1 where unknown.
        filenames (ndarray): (V,) str, ``''`` where unknown.
        frame_inds (ndarray): Frame numbers as the pipeline reads them, clip
            after clip, (F,) int64.
        frame_offsets (ndarray): Frames of video v are ``frame_offsets[v]``
            to ``frame_offsets[v + 1]``, (V + 1,) int64; none where unknown.
        total_frames (ndarray): (V,) int64, -1 where unknown.
        views_per_clip (ndarray): (V,) int64, 1 where unknown.
        class_names (ndarray): (K,) str, or (0,) where unknown.
        config_name (ndarray): () str, name of the run's config.
        clip_weights (ndarray): Weights of the views by attention, which sum
            to one in each video, (M,) float32; (0,) where the head has none.
    """

    clip_scores: np.ndarray
    video_offsets: np.ndarray
    labels: np.ndarray
    filenames: np.ndarray
    frame_inds: np.ndarray
    frame_offsets: np.ndarray
    total_frames: np.ndarray
    views_per_clip: np.ndarray
    class_names: np.ndarray
    config_name: np.ndarray
    clip_weights: np.ndarray = field(
        default_factory=lambda: np.zeros(0, np.float32)
    )

    def __len__(self) -> int:
        return len(self.labels)


def vote_scores(clip_scores: np.ndarray) -> np.ndarray:
    """Video scores by the vote of the clips (Shi et al. 2020, Section 4.1).

    Args:
        clip_scores (ndarray): Probabilities, (m, K).

    Returns:
        ndarray: ``(votes + mean probability) / (m + 1)``, (K,) float64. It
        sums to one, ranks by votes and breaks ties by mean probability.

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
        >>> vote_scores(scores).round(3).tolist()
        [0.392, 0.608]
    """
    return majority_vote(torch.tensor(clip_scores).double()).numpy()


def attention_scores(
    clip_scores: np.ndarray, clip_weights: np.ndarray
) -> np.ndarray:
    """Video scores by attention, as ``average_clips='attention'`` has them.

    Args:
        clip_scores (ndarray): Probabilities, (m, K).
        clip_weights (ndarray): Weights, (m,), which sum to one.

    Returns:
        ndarray: Softmax of the weighted mean of the logits, (K,) float64,
        which is that of the log-probabilities.

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
        >>> attention_scores(scores, np.array([0.5, 0.25, 0.25])).round(3)
        array([0.71, 0.29])
    """
    smallest = np.finfo(np.float32).tiny
    logits = np.log(np.maximum(clip_scores, smallest, dtype=np.float64))
    return softmax(clip_weights.astype(np.float64) @ logits)


@METRICS.register_module()
class ClipConsistencyMetric(BaseMetric):
    """How good the clips are, and how much those of a video agree.

    Needs a video-level head, which sets ``clip_scores``, and all clips of a
    video in one data sample. Reports, as shares or probabilities,

    - ``clip_acc``: right clips among all clips.
    - ``video_acc_vote``: videos right by the vote, as in the paper.
    - ``video_acc_mean``: videos right by mean probability.
    - ``video_acc_attention``: videos right by attention, if the head has it.
    - ``agreement``: share of a video's clips that vote for its winner, mean
      over the videos.
    - ``pairwise_distance``: Euclidean distance between the probabilities of
      two clips (the distance of Shi et al. 2020, Eq. 4), mean over the pairs
      of a video, 0 for one clip, then over the videos.

    Of videos without labels only the last two are known. With several crops
    each view counts as a clip. A warning is logged if 95%
    or more of all clips get one answer, though 60% of the videos or fewer
    are of any one class: the network has learnt nothing, or has collapsed.

    Args:
        out_file (str, optional): Write the clip scores to this ``.npz``,
            which :func:`load_clip_results` reads. ``{config}`` in it stands
            for the name of the run's config. A relative path starts at the
            working directory, as that of stock ``--dump``. Frame numbers
            and file names go along if ``filename``, ``frame_inds``,
            ``total_frames`` and ``num_clips`` are among the ``meta_keys`` of
            ``PackActionInputs``. Defaults to None.
        collect_device (str): ``'cpu'`` or ``'gpu'``. Defaults to ``'cpu'``.
        prefix (str, optional): Defaults to ``'clip'``.

    Raises:
        ValueError: ``out_file`` does not end in ``.npz``.
    """

    default_prefix = 'clip'

    def __init__(
        self,
        out_file: Optional[str] = None,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if out_file is not None and not out_file.endswith('.npz'):
            raise ValueError(f"out_file must end in '.npz', got {out_file!r}")
        self.out_file = out_file

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep what a batch of predicted videos gives.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): With ``clip_scores``, (m, K), and,
                where they are known, ``gt_label``, (1,), and
                ``clip_weights``, (m,).

        Raises:
            ValueError: There are no ``clip_scores``, or several labels.
        """
        for sample in data_samples:
            if 'clip_scores' not in sample:
                raise ValueError(
                    'ClipConsistencyMetric found no clip_scores in the '
                    'predictions. Stock heads set none; their VideoLevel* '
                    "twins do: use type='VideoLevelI3DHead' instead of "
                    "'I3DHead' (likewise 'VideoLevelTSNHead' and so on)"
                )
            self.results.append(_to_result(sample))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Figures over all videos; writes ``out_file``.

        Args:
            results (list[dict]): One entry a video, in the dataset's order.

        Returns:
            dict[str, float]: The figures, by the names above.

        Raises:
            ValueError: A video came in several data samples.
        """
        _check_whole_videos(results)
        classes = (self.dataset_meta or {}).get('classes') or ()
        clip_results = _to_clip_results(results, classes)
        if self.out_file is not None:
            out_file = self.out_file.replace('{config}', _config_name())
            _save(out_file, clip_results)
            print_log(f'Clip results saved to {out_file}', 'current')
        _warn_of_one_answer(clip_results)
        return consistency_figures(clip_results)


def _warn_of_one_answer(results: ClipResults) -> None:
    """Say so if the network answers alike whatever a clip shows.

    Unlike in training, where the answer of a collapsed network moves with the
    labels it saw last, the weights stand still here.
    """
    if results.labels.min() < 0:
        return
    answers = np.bincount(results.clip_scores.argmax(axis=1))
    labels = np.bincount(results.labels)
    answer, clips = answers.argmax(), answers.max() / answers.sum()
    videos = labels.max() / len(results)
    if clips < _SAME_ANSWERS or videos > _SAME_LABELS:
        return
    name = (
        f' ({results.class_names[answer]})' if results.class_names.size else ''
    )
    print_log(
        f'{clips:.0%} of all clips get the answer {answer}{name}, but no '
        f'class has more than {videos:.0%} of the videos. A network at the '
        'very start of its training answers so. If it goes on, training has '
        'collapsed: see docs/training_logs.md.',
        'current',
        level=logging.WARNING,
    )


def consistency_figures(results: ClipResults) -> dict[str, float]:
    """What :class:`ClipConsistencyMetric` reports, from clip results.

    Args:
        results (ClipResults): Clip scores of videos.

    Returns:
        dict[str, float]: The figures by name, without prefix; none about
        right and wrong if labels are unknown.
    """
    ends = results.video_offsets[1:-1]
    videos = np.split(results.clip_scores, ends)
    weights: Iterable = itertools.repeat(None, len(videos))
    if results.clip_weights.size:
        weights = np.split(results.clip_weights, ends)
    figures = [
        _video_figures(scores, label, weight)
        for scores, label, weight in zip(videos, results.labels, weights)
    ]
    metrics = {
        name: float(np.mean([x[name] for x in figures]))
        for name in figures[0]
        if name != 'clip_acc'
    }
    if results.labels.min() < 0:
        return {
            n: x for n, x in metrics.items() if not n.startswith('video_acc')
        }
    clips_right = np.concatenate([x['clip_acc'] for x in figures])
    return dict(clip_acc=float(clips_right.mean()), **metrics)


def load_clip_results(path: str) -> ClipResults:
    """Read a file that :class:`ClipConsistencyMetric` wrote.

    Nothing of the file is executed: pickled data is refused.

    Args:
        path (str): The ``.npz`` file.

    Returns:
        ClipResults: Its arrays.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is another kind of file or version, damaged, or holds
            pickled data.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'no clip results at {path!r}')
    if not zipfile.is_zipfile(path):
        raise ValueError(f'{path!r} is no .npz file, or was cut short')
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except ValueError as error:
        raise ValueError(f'{path!r} holds pickled data: not read') from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f'{path!r} is damaged: {error}') from error
    if str(arrays.pop('format', '')) != _FORMAT:
        raise ValueError(
            f'{path!r} was not written by ClipConsistencyMetric: it holds '
            f'{", ".join(arrays) or "nothing"}'
        )
    version = int(arrays.pop('format_version'))
    if version not in _READ_VERSIONS:
        raise ValueError(
            f'{path!r} has format version {version}, but this vll_mmaction '
            f'reads versions {" and ".join(map(str, _READ_VERSIONS))}'
        )
    return ClipResults(**arrays)


def _video_figures(
    scores: np.ndarray, label: int, weights: Optional[np.ndarray] = None
) -> dict:
    """Figures of one video; ``clip_acc`` for each clip, (m,) bool."""
    clip_votes = scores.argmax(axis=1)
    winner = vote_scores(scores).argmax()
    distance = pdist(scores).mean() if len(scores) > 1 else 0.0
    figures = dict(
        clip_acc=clip_votes == label,
        video_acc_vote=winner == label,
        video_acc_mean=scores.mean(axis=0, dtype=np.float64).argmax() == label,
        agreement=(clip_votes == winner).mean(),
        pairwise_distance=distance,
    )
    if weights is not None:
        answer = attention_scores(scores, weights).argmax()
        figures['video_acc_attention'] = answer == label
    return figures


def _to_result(sample: dict) -> dict:
    """What the metric keeps of a predicted video, as numpy arrays."""
    label = sample.get('gt_label', torch.tensor([-1]))
    if label.is_floating_point():
        label = label.argmax(dim=0, keepdim=True)
    if label.numel() != 1:
        raise ValueError(
            'ClipConsistencyMetric takes one label a video, but got '
            f'{label.numel()}'
        )
    scores = sample['clip_scores'].float().cpu().numpy()
    num_clips = sample.get('num_clips') or len(scores)
    frames = sample.get('frame_inds')
    weights = sample.get('clip_weights')
    return dict(
        scores=scores,
        weights=() if weights is None else weights.float().cpu().numpy(),
        label=int(label),
        video_id=sample.get('video_id'),
        # Stock's datasets of frames name the folder.
        filename=str(sample.get('filename', sample.get('frame_dir', ''))),
        frame_inds=np.asarray(
            () if frames is None else frames, dtype=np.int64
        ).reshape(-1),
        total_frames=int(sample.get('total_frames', -1)),
        # A 2D recognizer may average a video's clips into fewer rows.
        views=max(1, len(scores) // num_clips),
    )


def _check_whole_videos(results: list[dict]) -> None:
    ids = [x['video_id'] for x in results if x['video_id'] is not None]
    if len(set(ids)) < len(ids):
        raise ValueError(
            'ClipConsistencyMetric needs all clips of a video in one data '
            'sample, but several samples have the same video_id: test with '
            "dataset type='WholeVideoDataset' and SampleVideoClips in its "
            'pipeline rather than with VideoClipDataset'
        )


def _to_clip_results(results: list[dict], classes: Sequence) -> ClipResults:
    def offsets(lengths: Iterable[int]) -> np.ndarray:
        return np.cumsum([0, *lengths], dtype=np.int64)

    def integers(name: str) -> np.ndarray:
        return np.array([x[name] for x in results], dtype=np.int64)

    scores = np.concatenate([x['scores'] for x in results])
    names = [str(name) for name in classes][: scores.shape[1]]
    if names:
        # A class without a name goes by its number.
        names += map(str, range(len(names), scores.shape[1]))
    return ClipResults(
        clip_scores=scores,
        video_offsets=offsets(len(x['scores']) for x in results),
        labels=integers('label'),
        filenames=np.array([x['filename'] for x in results], dtype=np.str_),
        frame_inds=np.concatenate([x['frame_inds'] for x in results]),
        frame_offsets=offsets(len(x['frame_inds']) for x in results),
        total_frames=integers('total_frames'),
        views_per_clip=integers('views'),
        class_names=np.array(names, dtype=np.str_),
        config_name=np.array(_config_name(), dtype=np.str_),
        clip_weights=np.concatenate(
            [x['weights'] for x in results], dtype=np.float32
        ),
    )


def _config_name() -> str:
    """Name of the config of this run, which Runner puts before the time."""
    name = MessageHub.get_current_instance().instance_name
    return re.sub(r'(^|_)\d{8}_\d{6}$', '', name)


def _save(path: str, results: ClipResults) -> None:
    """Write under a temporary name, so that no reader meets half a file."""
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    temporary = f'{path}.{os.getpid()}.tmp'
    try:
        with open(temporary, 'wb') as file:
            np.savez_compressed(
                file,
                format=_FORMAT,
                format_version=_FORMAT_VERSION,
                **vars(results),
            )
        os.replace(temporary, path)
    finally:
        if osp.exists(temporary):
            os.remove(temporary)

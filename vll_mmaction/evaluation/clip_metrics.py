"""How a video's clips vote: figures over all videos."""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any, Optional

import numpy as np
import torch
from mmaction.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, print_log
from scipy.spatial.distance import pdist

from .clip_results import ClipResults, save_clip_results
from .prediction_rules import video_predictions

# Networks that tell clips apart do not come near the first.
_SAME_ANSWERS = 0.95
_SAME_LABELS = 0.6


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
            which ``load_clip_results`` reads. ``{config}`` in it stands
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
        ids = [x['video_id'] for x in results if x['video_id'] is not None]
        if len(set(ids)) < len(ids):
            raise ValueError(
                'ClipConsistencyMetric needs all clips of a video in one data '
                'sample, but several samples have the same video_id: test '
                "with dataset type='WholeVideoDataset' and SampleVideoClips "
                'in its pipeline rather than with VideoClipDataset'
            )
        classes = (self.dataset_meta or {}).get('classes') or ()
        clip_results = _to_clip_results(results, classes)
        if self.out_file is not None:
            out_file = self.out_file.replace('{config}', _config_name())
            save_clip_results(out_file, clip_results)
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
    predicted = video_predictions(results)
    answers = results.clip_scores.argmax(axis=1)
    sizes = np.diff(results.video_offsets)
    agreement = results.sums(answers == np.repeat(predicted['vote'], sizes))
    figures = dict(
        agreement=float((agreement / sizes).mean()),
        pairwise_distance=float(np.mean(pairwise_distances(results))),
    )
    if results.labels.min() < 0:
        return figures
    clip_labels = np.repeat(results.labels, sizes)
    return dict(
        clip_acc=float((answers == clip_labels).mean()),
        **{
            f'video_acc_{rule}': float((classes == results.labels).mean())
            for rule, classes in predicted.items()
        },
        **figures,
    )


def pairwise_distances(results: ClipResults) -> list[float]:
    """Mean distance between two rows of each video, 0 for one row alone."""
    return [
        pdist(scores).mean() if len(scores) > 1 else 0.0
        for scores in results.split(results.clip_scores)
    ]


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

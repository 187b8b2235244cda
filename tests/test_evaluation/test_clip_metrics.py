"""The clip metric against hand computation, and its result file."""

import os
import pickle
import zipfile

import mmengine.evaluator.metric as mmengine_metric
import numpy as np
import pytest
import torch
from mmaction.registry import METRICS
from mmaction.structures import ActionDataSample
from mmengine.evaluator import Evaluator
from mmengine.logging import MessageHub, MMLogger

from vll_mmaction.evaluation import attention_scores, load_clip_results

# Two videos of 3 classes: the first is won by class 0 with 2 votes of 3, the
# second, of one clip, by class 2.
FIRST = [[0.6, 0.4, 0.0], [0.6, 0.0, 0.4], [0.0, 1.0, 0.0]]
SECOND = [[0.2, 0.3, 0.5]]


def video(scores, label, **metainfo):
    sample = ActionDataSample(metainfo=metainfo).set_gt_label(label)
    sample.set_field(torch.tensor(scores), 'clip_scores')
    return sample.set_pred_score(torch.tensor(scores).mean(0))


def evaluate(videos, meta=None, **kwargs):
    metric = METRICS.build(dict(type='ClipConsistencyMetric', **kwargs))
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = meta
    for sample in videos:
        evaluator.process([sample])
    return evaluator.evaluate(len(videos))


def test_figures():
    out = evaluate([video(FIRST, 0), video(SECOND, 1)])
    pairs = [
        np.linalg.norm(np.subtract(FIRST[i], FIRST[j]))
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    assert out == {
        'clip/clip_acc': pytest.approx(2 / 4),
        'clip/video_acc_vote': pytest.approx(1 / 2),
        # The mean of the first video is (.4, .47, .13).
        'clip/video_acc_mean': pytest.approx(0),
        'clip/agreement': pytest.approx((2 / 3 + 1) / 2),
        'clip/pairwise_distance': pytest.approx(np.mean(pairs) / 2),
    }


def attended(logits, weights, label, **metainfo):
    """A video of an attention head, which predicts by the weighted mean."""
    logits, weights = torch.tensor(logits), torch.tensor(weights)
    sample = video(logits.softmax(1).tolist(), label, **metainfo)
    sample.set_field(weights, 'clip_weights')
    return sample.set_pred_score((weights @ logits).softmax(0))


def test_clip_weights(tmp_path):
    path = str(tmp_path / 'results.npz')
    # Two clips against one that weighs more than both.
    logits = [[5.0, 0, 0], [5.0, 0, 0], [0, 6.0, 0]]
    videos = [
        attended(logits, [0.25, 0.25, 0.5], 1),
        attended([[0.0, 0, 80]], [1.0], 0),
    ]
    out = evaluate(videos, out_file=path)
    assert out['clip/video_acc_attention'] == pytest.approx(1 / 2)
    assert out['clip/video_acc_vote'] == out['clip/video_acc_mean'] == 0
    results = load_clip_results(path)
    assert results.clip_weights.tolist() == [0.25, 0.25, 0.5, 1]
    assert results.clip_weights.dtype == np.float32
    for k, sample in enumerate(videos):
        own = slice(*results.video_offsets[k : k + 2])
        np.testing.assert_allclose(
            attention_scores(
                results.clip_scores[own], results.clip_weights[own]
            ),
            sample.pred_score,
            atol=1e-6,
        )


def test_files_without_weights_are_read(tmp_path):
    path = str(tmp_path / 'results.npz')
    out = evaluate([video(FIRST, 0)], out_file=path)
    assert not any('attention' in name for name in out)
    with np.load(path) as file:
        arrays = dict(file)
    assert arrays.pop('clip_weights').shape == (0,)
    np.savez(path, **{**arrays, 'format_version': 1})
    results = load_clip_results(path)
    assert results.clip_weights.shape == (0,)
    assert results.clip_scores.shape == (3, 3)


def test_one_answer_for_all_is_told(capfd):
    MMLogger.get_instance('one_answer')
    always = [video([[0.1, 0.8, 0.1]] * 3, k) for k in (0, 0, 1, 2, 2)]
    evaluate(always, dict(classes=('a', 'b', 'c')))
    out = capfd.readouterr()
    assert (
        '100% of all clips get the answer 1 (b), but no' in out.err + out.out
    )
    # One clip in six is another answer; or the videos are of one class.
    for videos in ([*always, video(FIRST, 0)], always[:2]):
        evaluate(videos)
        out = capfd.readouterr()
        assert 'get the answer' not in out.err + out.out


def test_a_class_without_a_name_goes_by_its_number(tmp_path):
    always = [video([[0.1, 0.8, 0.1]] * 3, k) for k in (0, 0, 1, 2, 2)]
    path = str(tmp_path / 'results.npz')
    for names, kept in ('a', 'a12'), ('abcd', 'abc'):
        evaluate(always, dict(classes=names), out_file=path)
        assert load_clip_results(path).class_names.tolist() == list(kept)


def test_identical_clips_are_at_distance_zero():
    out = evaluate([video(SECOND * 30, 2)])
    assert out['clip/pairwise_distance'] == 0
    assert out['clip/agreement'] == 1


def test_result_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    MessageHub.get_instance('vll_c3d_ucf101_20240102_030405')
    path = os.path.join('new', 'results.npz')
    videos = [
        video(
            FIRST,
            0,
            filename='videos/größe.avi',
            frame_inds=np.arange(48),
            total_frames=50,
            num_clips=3,
        ),
        video(SECOND, 1),
        video(SECOND * 4, 2, filename='b.avi', num_clips=2),
    ]
    evaluate(videos, dict(classes=('a', 'b', 'c')), out_file=path)
    assert os.listdir('new') == ['results.npz']
    with np.load(path, allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file.files} == set('fiU')

    results = load_clip_results(path)
    assert len(results) == 3
    assert results.clip_scores.dtype == np.float32
    assert results.clip_scores.tolist() == pytest.approx(
        np.float32(FIRST + SECOND * 5)
    )
    assert results.video_offsets.tolist() == [0, 3, 4, 8]
    assert results.labels.tolist() == [0, 1, 2]
    assert results.filenames.tolist() == ['videos/größe.avi', '', 'b.avi']
    assert results.frame_inds.tolist() == list(range(48))
    assert results.frame_offsets.tolist() == [0, 48, 48, 48]
    assert results.total_frames.tolist() == [50, -1, -1]
    assert results.views_per_clip.tolist() == [1, 1, 2]
    assert results.class_names.tolist() == ['a', 'b', 'c']
    assert results.config_name == 'vll_c3d_ucf101'
    for array in (results.video_offsets, results.labels, results.frame_inds):
        assert array.dtype == np.int64


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'results.npz'
    evaluate([video(FIRST, 0)], out_file=str(path))

    def fail(file, **_):
        file.write(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(np, 'savez_compressed', fail)
    with pytest.raises(OSError, match='disk full'):
        evaluate([video(SECOND, 0)], out_file=str(path))
    assert os.listdir(tmp_path) == ['results.npz']
    assert len(load_clip_results(str(path)).clip_scores) == 3


def test_results_of_several_ranks(tmp_path, monkeypatch):
    # Five videos on two ranks: the second repeats the first video as padding.
    videos = [video(SECOND * (i + 1), i % 3, video_id=i) for i in range(5)]
    ranks = [videos[0::2], videos[1::2] + videos[:1]]
    parts = []
    for rank in ranks:
        metric = METRICS.build(dict(type='ClipConsistencyMetric'))
        for sample in rank:
            metric.process(None, [sample.to_dict()])
        parts.append(pickle.loads(pickle.dumps(metric.results, protocol=2)))

    def collect(results, size, *_, **__):
        return [x for step in zip(*parts) for x in step][:size]

    monkeypatch.setattr(mmengine_metric, 'collect_results', collect)
    path = str(tmp_path / 'results.npz')
    metric = METRICS.build(dict(type='ClipConsistencyMetric', out_file=path))
    out = metric.evaluate(5)
    results = load_clip_results(path)
    assert results.labels.tolist() == [0, 1, 2, 0, 1]
    assert np.diff(results.video_offsets).tolist() == [1, 2, 3, 4, 5]
    assert out['clip/video_acc_vote'] == pytest.approx(1 / 5)


def test_soft_labels_count_by_their_argmax():
    out = evaluate([video(FIRST, torch.tensor([0.7, 0.2, 0.1]))])
    assert out['clip/video_acc_vote'] == 1


def test_errors():
    with pytest.raises(ValueError, match=r"'\.npz', got 'results\.pkl'"):
        METRICS.build(
            dict(type='ClipConsistencyMetric', out_file='results.pkl')
        )
    stock = ActionDataSample().set_gt_label(0).set_pred_score([0.5, 0.5])
    with pytest.raises(ValueError, match='VideoLevelI3DHead'):
        evaluate([stock])
    with pytest.raises(ValueError, match='one label a video'):
        evaluate([video(FIRST, [0, 1, 1])])
    with pytest.raises(ValueError, match='WholeVideoDataset'):
        evaluate([video(SECOND, 1, video_id=7), video(SECOND, 1, video_id=7)])


def test_files_that_are_not_read(tmp_path):
    path = str(tmp_path / 'results.npz')
    with pytest.raises(FileNotFoundError, match=r'results\.npz'):
        load_clip_results(path)

    np.savez(path, something=np.zeros(3))
    with pytest.raises(ValueError, match='not written by.*something'):
        load_clip_results(path)

    evaluate([video(FIRST, 0)], out_file=path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, 'format_version': 99})
    with pytest.raises(ValueError, match='version 99.*versions 1 and 2'):
        load_clip_results(path)

    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('labels.npy', b'no array')
    with pytest.raises(ValueError, match=r'results\.npz'):
        load_clip_results(path)

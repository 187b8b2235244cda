"""Scores of any video: those of test.py, in one pass and bounded memory."""

import tracemalloc

import numpy as np
import pytest
import torch
from mmaction.apis import MMAction2Inferencer, inference_recognizer
from mmaction.registry import MODELS
from mmengine.config import Config
from stock_tools import small_config
from video_files import write_video

from vll_mmaction.apis import init_video_recognizer, score_video
from vll_mmaction.datasets import clip_stream
from vll_mmaction.evaluation import attention_scores, vote_scores

READ = """
test_pipeline = [
    dict(type='VideoReaderInit'),
    dict(type='SampleVideoClips', clip_len=4),
    dict(
        type='ReadVideoClips',
        transforms=[
            dict(type='Resize', scale=(-1, 40)),
            dict(type='CenterCrop', crop_size=32),
        ],
    ),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""
OVERLAPPING = """
test_pipeline[1] = dict(
    type='SampleVideoClips', clip_len=4, frame_interval=2, clip_stride=3)
test_dataloader['dataset']['pipeline'] = test_pipeline
"""
CROPS = """
test_pipeline[3:4] = [
    dict(type='Resize', scale=(-1, 32)),
    dict(type='ThreeCrop', crop_size=32),
]
test_dataloader['dataset']['pipeline'] = test_pipeline
"""
SOME = """
test_pipeline[1] = dict(
    type='SampleVideoClips', clip_len=4, max_clips=5, keep='random')
test_dataloader['dataset']['pipeline'] = test_pipeline
"""
FLAT = """
test_pipeline[4] = dict(type='FormatShape', input_format='NCHW')
test_dataloader['dataset']['pipeline'] = test_pipeline
model = dict(
    _delete_=True,
    type='VideoLevelRecognizer2D',
    backbone=dict(type='ResNet', depth=18, pretrained=None),
    cls_head=dict(
        type='VideoLevelTSNHead', num_classes=2, in_channels=512,
        average_clips='vote'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor', mean=[0, 0, 0], std=[255, 255, 255],
        format_shape='NCHW'),
    test_cfg=dict(num_segs=4, max_testing_views=3))
"""
ATTENTION = """
model['cls_head'].update(
    type='VideoAttentionI3DHead', average_clips='attention',
    loss_cls=dict(_delete_=True, type='VideoAttentionLoss'))
"""
FEW_AT_ONCE = 'model["test_cfg"] = dict(max_testing_views=3)\n'


def make_model(folder, extra='', meta=None, **kwargs):
    """Config and checkpoint of a small network with random weights."""
    path = small_config(
        folder / 'config.py', 'clip_c3d_ucf101.py', folder, extra=extra
    )
    model = MODELS.build(Config.fromfile(path).model)
    model.init_weights()
    # Scores far apart.
    torch.nn.init.normal_(model.cls_head.fc_cls.weight)
    if hasattr(model.cls_head, 'gate'):
        torch.nn.init.normal_(model.cls_head.gate.w.weight)
    state = dict(state_dict=model.state_dict(), meta=meta or {})
    torch.save(state, folder / 'model.pth')
    return init_video_recognizer(path, folder / 'model.pth', 'cpu', **kwargs)


@pytest.mark.parametrize(
    'extra, views',
    [
        (FEW_AT_ONCE, 1),
        (READ, 1),
        (OVERLAPPING, 1),
        (CROPS, 3),
        (SOME, 1),
        (FLAT, 1),
    ],
)
def test_scores_are_those_of_testing(tmp_path, extra, views):
    model = make_model(tmp_path, extra)
    video = write_video(tmp_path / 'a.avi', 45)
    expected = inference_recognizer(model, video)
    calls = []
    results = score_video(model, video, lambda *x: calls.append(x))
    scores = expected.clip_scores.numpy()
    assert len(np.unique(scores.round(4), axis=0)) > 4
    np.testing.assert_allclose(results.clip_scores, scores, atol=1e-5)
    np.testing.assert_allclose(
        vote_scores(results.clip_scores), expected.pred_score, atol=1e-5
    )
    clips = len(scores) // views
    assert results.views_per_clip.tolist() == [views]
    assert results.frame_inds.reshape(clips, 4).max() < 45
    assert results.total_frames.tolist() == [45]
    assert calls[-1] == (clips, clips)


@pytest.mark.parametrize('crops', [1, 3])
def test_weights_of_attention_are_those_of_testing(tmp_path, crops):
    extra = ATTENTION + FEW_AT_ONCE + (CROPS if crops > 1 else '')
    model = make_model(tmp_path, extra)
    video = write_video(tmp_path / 'a.avi', 45)
    expected = inference_recognizer(model, video)
    results = score_video(model, video)
    weights = expected.clip_weights.numpy()
    assert np.ptp(weights) > 1e-4
    np.testing.assert_allclose(results.clip_weights, weights, atol=1e-6)
    np.testing.assert_allclose(
        attention_scores(results.clip_scores, results.clip_weights),
        expected.pred_score,
        atol=1e-5,
    )


def test_mmaction2s_inferencer_predicts_by_attention(tmp_path):
    model = make_model(tmp_path, ATTENTION)
    video = write_video(tmp_path / 'a.avi', 45)
    inferencer = MMAction2Inferencer(
        str(tmp_path / 'config.py'), str(tmp_path / 'model.pth'), device='cpu'
    )
    (found,) = inferencer(video)['predictions']
    expected = inference_recognizer(model, video).pred_score.tolist()
    assert found['rec_scores'] == [pytest.approx(expected, abs=1e-5)]


def test_a_video_shorter_than_a_clip(tmp_path):
    model = make_model(tmp_path)
    results = score_video(model, write_video(tmp_path / 'a.avi', 3))
    assert results.frame_inds.tolist() == [0, 1, 2, 0]


def test_long_videos_are_read_once_in_bounded_memory(tmp_path, monkeypatch):
    model = make_model(tmp_path, OVERLAPPING)
    read = clip_stream.read_frames
    frames = []

    def count(path, wanted):
        for number, frame in read(path, wanted):
            frames.append(number)
            yield number, frame

    monkeypatch.setattr(clip_stream, 'read_frames', count)
    peaks = []
    for length in (200, 3000):
        # 9 kB a frame: 27 MB for the longer video.
        video = write_video(tmp_path / f'{length}.avi', length)
        frames.clear()
        tracemalloc.start()
        results = score_video(model, video)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(results.clip_scores) == (length - 7) // 3 + 1
        assert frames == sorted(set(results.frame_inds.tolist()))
    assert peaks[1] < peaks[0] + 2e6


def cut_payload(path, start):
    """Wipe the frames of an MJPG file from a number on, not their headers."""
    data = bytearray(path.read_bytes())
    place, number = data.index(b'movi') + 4, 0
    while data[place : place + 4] == b'00dc':
        size = int.from_bytes(data[place + 4 : place + 8], 'little')
        if number >= start:
            data[place + 8 : place + 8 + size] = bytes(size)
        place += 8 + size + size % 2
        number += 1
    path.write_bytes(data)


def test_a_video_that_cannot_be_decoded_to_its_end_is_refused(tmp_path):
    model = make_model(tmp_path)
    write_video(tmp_path / 'a.avi', 40)
    cut_payload(tmp_path / 'a.avi', 22)
    with pytest.raises(ValueError, match='a.avi .* after 22 frames'):
        score_video(model, str(tmp_path / 'a.avi'))


def test_not_a_video(tmp_path):
    model = make_model(tmp_path)
    (tmp_path / 'a.avi').write_text('text')
    with pytest.raises(ValueError, match='a.avi cannot be used as a video: '):
        score_video(model, str(tmp_path / 'a.avi'))
    with pytest.raises(ValueError, match='there is no such file'):
        score_video(model, str(tmp_path / 'b.avi'))


@pytest.mark.parametrize(
    'extra, message',
    [
        ("test_pipeline[1]['type'] = 'SampleFrames'\n", 'is SampleFrames'),
        ('del test_pipeline[2]\n', 'cut videos into clips.*a decoder'),
    ],
)
def test_pipelines_without_clips_are_refused(tmp_path, extra, message):
    extra += "test_dataloader['dataset']['pipeline'] = test_pipeline\n"
    model = make_model(tmp_path, extra)
    with pytest.raises(ValueError, match=message):
        score_video(model, 'a.avi')


def test_stock_heads_are_refused(tmp_path):
    model = make_model(
        tmp_path,
        "model['cls_head'].update(type='I3DHead', average_clips='prob')\n",
    )
    with pytest.raises(ValueError, match='I3DHead gives no clip scores'):
        score_video(model, write_video(tmp_path / 'a.avi', 9))


# The checkpoint


def load(folder, state):
    config = small_config(folder / 'c.py', 'clip_c3d_ucf101.py', folder)
    torch.save(state, folder / 'm.pth')
    return init_video_recognizer(config, folder / 'm.pth', 'cpu')


def test_checkpoints_must_fit(tmp_path):
    good = make_model(tmp_path).state_dict()
    parallel = {f'module.{name}': x for name, x in good.items()}
    load(tmp_path, dict(state_dict=parallel))
    load(tmp_path, good)
    wider = dict(good)
    wider['cls_head.fc_cls.weight'] = torch.zeros(101, 16)
    said = r"m.pth is no .* of this config's.*weight is \(101, 16\) in it, but"
    with pytest.raises(ValueError, match=said):
        load(tmp_path, dict(state_dict=wider))
    fewer = dict(good)
    del fewer['backbone.conv1.weight']
    with pytest.raises(ValueError, match='backbone.conv1.weight is not in it'):
        load(tmp_path, fewer)
    more = dict(good, other=torch.zeros(1))
    with pytest.raises(ValueError, match='other is not in the model'):
        load(tmp_path, more)
    with pytest.raises(ValueError, match='it holds a list'):
        load(tmp_path, [1])


def test_files_that_are_no_checkpoint(tmp_path):
    config = small_config(tmp_path / 'c.py', 'clip_c3d_ucf101.py', tmp_path)
    (tmp_path / 'm.pth').write_text('text')
    with pytest.raises(ValueError, match='m.pth cannot be read as a check'):
        init_video_recognizer(config, tmp_path / 'm.pth', 'cpu')
    with pytest.raises(FileNotFoundError, match='n.pth'):
        init_video_recognizer(config, tmp_path / 'n.pth', 'cpu')


# The names of the classes


def test_class_names(tmp_path):
    def found(**kwargs):
        return make_model(tmp_path, **kwargs).dataset_meta['classes']

    assert found() == ()
    (tmp_path / 'classes.txt').write_text('run\n')  # of another data set
    assert found() == ()
    (tmp_path / 'classes.txt').write_text('run\nwalk\n')
    assert found() == ('run', 'walk')
    (tmp_path / 'label_map.txt').write_text('Rennen\nGehen\n')
    assert found() == ('Rennen', 'Gehen')
    meta = dict(dataset_meta=dict(classes=['a', 'b']))
    assert found(meta=meta) == ('a', 'b')
    extra = (
        'test_dataloader["dataset"]["metainfo"] = dict(classes=["c", "d"])\n'
    )
    assert found(meta=meta, extra=extra) == ('c', 'd')
    assert found(extra=extra, classes=['e', 'f']) == ('e', 'f')
    with pytest.raises(ValueError, match='2 classes, but 3 names'):
        found(classes=['a', 'b', 'c'])

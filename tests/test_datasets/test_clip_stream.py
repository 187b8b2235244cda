"""Long videos in testing: the same predictions in bounded memory."""

import tracemalloc

import cv2
import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS
from small_runner import small_runner
from stock_tools import run_tool, small_config
from tiny_recognizers import build
from video_files import write_dataset, write_video

from vll_mmaction.datasets.clip_stream import ClipStream
from vll_mmaction.evaluation import load_clip_results

LENGTHS = [10, 41, 8]
SAMPLE = dict(type='SampleVideoClips', clip_len=4, clip_stride=3)
KEYS = ('filename', 'frame_inds', 'total_frames', 'num_clips')
RESIZE = dict(type='Resize', scale=(-1, 40))
CROP = dict(type='CenterCrop', crop_size=32)
OURS = [
    dict(type='VideoReaderInit'),
    SAMPLE,
    dict(type='ReadVideoClips', transforms=[RESIZE, CROP]),
]
STOCK = [
    dict(type='DecordInit'),
    SAMPLE,
    dict(type='DecordDecode'),
    RESIZE,
    dict(type='ThreeCrop', crop_size=40),
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, LENGTHS)
    return folder


def make(folder, steps=OURS, shape='NCTHW', **kwargs):
    ann_file = kwargs.pop('ann_file', 'ann.txt')
    return DATASETS.build(
        dict(
            type='WholeVideoDataset',
            ann_file=str(folder / ann_file),
            data_prefix=dict(video=str(folder / 'videos')),
            pipeline=[
                *steps,
                dict(type='FormatShape', input_format=shape),
                dict(type='PackActionInputs', meta_keys=KEYS),
            ],
            **kwargs,
        )
    )


@pytest.mark.parametrize('steps', [OURS, STOCK], ids=['ours', 'stock'])
@pytest.mark.parametrize('at_once', [1, 4, 100])
def test_clips_are_those_of_the_whole_video(folder, steps, at_once):
    whole, streamed = make(folder, steps), make(folder, steps, stream_above=3)
    assert isinstance(streamed[0]['inputs'], torch.Tensor)
    sample = streamed[1]
    assert isinstance(sample['inputs'], ClipStream)
    chunks = list(sample['inputs'].chunks(at_once))
    num_clips, views = 13, whole[1]['inputs']
    crops = len(views) // num_clips
    assert [len(c) // crops for c in chunks[:-1]] == [at_once] * (
        len(chunks) - 1
    )
    # Crop by crop there, clip by clip here.
    views = views.unflatten(0, (crops, num_clips)).transpose(0, 1)
    assert torch.equal(torch.cat(chunks), views.flatten(0, 1))
    expected, found = whole[1]['data_samples'], sample['data_samples']
    assert found.gt_label == expected.gt_label
    assert np.array_equal(found.frame_inds, expected.frame_inds)
    for key in ('filename', 'total_frames', 'num_clips'):
        assert found.get(key) == expected.get(key)


@pytest.mark.parametrize('views', [None, 1, 5, 100])
@pytest.mark.parametrize('two_d', [False, True], ids=['3D', '2D'])
@pytest.mark.parametrize('steps', [OURS, STOCK], ids=['ours', 'stock'])
def test_predictions_are_those_of_the_whole_video(folder, steps, two_d, views):
    shape = 'NCHW' if two_d else 'NCTHW'
    test_cfg = dict(num_segs=4) if two_d else {}
    if views:
        test_cfg['max_testing_views'] = views
    model = build(two_d=two_d, test_cfg=test_cfg).eval()
    results = []
    for above in (None, 3):
        sample = make(folder, steps, shape, stream_above=above)[1]
        with torch.no_grad():
            (result,) = model.val_step(
                {key: [value] for key, value in sample.items()}
            )
        results.append(result)
    for key in ('pred_score', 'pred_label', 'clip_scores'):
        whole, streamed = (result.get(key) for result in results)
        exact = dict(rtol=0, atol=0) if views else {}
        torch.testing.assert_close(streamed, whole, **exact)
    assert results[1].clip_scores.shape == (39 if steps is STOCK else 13, 4)


def test_several_videos_a_batch(folder):
    """Of equally many clips: the parts go from one into the next."""
    (folder / 'equal.txt').write_text('0.avi 0\n1.avi 1\n')
    sample = dict(SAMPLE, max_clips=3, keep='uniform')
    steps = [sample if step is SAMPLE else step for step in STOCK]
    model = build(test_cfg=dict(max_testing_views=4)).eval()
    results = []
    for above in (None, 2):
        data = make(folder, steps, stream_above=above, ann_file='equal.txt')
        batch = {key: [x[key] for x in data] for key in data[0]}
        with torch.no_grad():
            results.append(model.val_step(batch))
    for whole, streamed in zip(*results):
        assert whole.clip_scores.shape == (9, 4)
        assert torch.equal(streamed.clip_scores, whole.clip_scores)
        assert torch.equal(streamed.pred_score, whole.pred_score)


# Of three crops a clip, two views at a time.
CONFIG = """
test_dataloader.update(num_workers=1, persistent_workers=False)
test_dataloader['dataset'].update(stream_above={above})
test_dataloader['dataset']['pipeline'][3:4] = [
    dict(type='Resize', scale=(-1, 32)),
    dict(type='ThreeCrop', crop_size=32)]
model['test_cfg'] = dict(max_testing_views=2)
test_evaluator = [
    dict(type='AccMetric'),
    dict(type='ClipConsistencyMetric', out_file={out!r})]
custom_hooks = [dict(type='ConfigCheckHook')]
"""


def test_stock_test_py_in_two_processes(folder, tmp_path):
    weights = small_runner(tmp_path, folder).model.state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'start.pth')
    outs = [str(tmp_path / f'{name}.npz') for name in ('whole', 'streamed')]
    whole = CONFIG.format(above=None, out=outs[0])
    load = f'load_from = {str(tmp_path / "start.pth")!r}\n'
    small_runner(tmp_path, folder, whole + load).test()
    streamed = small_config(
        tmp_path / 'streamed.py',
        'vll_c3d_ucf101.py',
        folder,
        extra=CONFIG.format(above=1, out=outs[1]),
    )
    run_tool(
        *('dist_test.sh', streamed, tmp_path / 'start.pth', 2), cwd=tmp_path
    )
    results = [load_clip_results(out) for out in outs]
    for name in ('clip_scores', 'labels', 'filenames', 'frame_inds'):
        one, other = (getattr(result, name) for result in results)
        assert np.array_equal(one, other)


def test_memory_does_not_grow_with_the_video(tmp_path):
    peaks = []
    for length in (200, 3000):
        # 9 kB a frame: 27 MB for the longer video.
        (tmp_path / 'ann.txt').write_text(f'{length}.avi 0\n')
        write_video(tmp_path / f'videos/{length}.avi', length)
        sample = make(tmp_path, stream_above=16)[0]
        tracemalloc.start()
        clips = sum(len(part) for part in sample['inputs'].chunks(8))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert clips == (length - 4) // 3 + 1
    assert peaks[1] < peaks[0] + 2e6
    assert peaks[1] < 5e6


def test_a_video_that_ends_early_is_named(tmp_path):
    write_dataset(tmp_path, [10, 41])
    sample = make(tmp_path, stream_above=3)[1]
    write_video(tmp_path / 'videos/1.avi', 20)
    with pytest.raises(RuntimeError, match=r'1.avi \(.*line 2\), clip 6: '):
        list(sample['inputs'].chunks(4))


def test_frames_are_streamed_from_their_files(folder, tmp_path):
    for number in range(12):
        image = np.full((36, 48, 3), 20 * number, np.uint8)
        path = tmp_path / f'v/img_{number + 1:05}.png'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image)
    (tmp_path / 'ann.txt').write_text('v 12 0\n')
    config = dict(
        type='WholeRawframeDataset',
        ann_file=str(tmp_path / 'ann.txt'),
        data_prefix=dict(img=str(tmp_path)),
        filename_tmpl='img_{:05}.png',
        pipeline=[
            SAMPLE,
            dict(type='RawFrameDecode'),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs'),
        ],
    )
    whole = DATASETS.build(config)[0]['inputs']
    stream = DATASETS.build(dict(config, stream_above=1))[0]['inputs']
    assert torch.equal(torch.cat(list(stream.chunks(2))), whole)

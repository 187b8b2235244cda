"""Whole videos for testing: as stock gives them, looked up beforehand."""

import os

import av
import cv2
import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS
from mmengine.dataset import pseudo_collate
from small_runner import log_of, small_runner
from torch.utils.data import DataLoader
from video_files import write_dataset, write_video

from vll_mmaction.evaluation import load_clip_results

LENGTHS, COUNTS = [10, 3, 8], [2, 1, 2]  # clips of 4 frames
SAMPLE = dict(type='SampleVideoClips', clip_len=4)
KEYS = ('filename', 'frame_inds', 'total_frames', 'num_clips')
PACK = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=KEYS),
]
RESIZE = dict(type='Resize', scale=(-1, 40))
OURS = [
    dict(type='VideoReaderInit'),
    SAMPLE,
    dict(type='ReadVideoClips', transforms=[RESIZE]),
    dict(type='CenterCrop', crop_size=32),
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
    write_dataset(folder, LENGTHS, num_classes=3)
    write_video(folder / 'videos/two words.avi', 5)
    for video, length in enumerate(LENGTHS):
        frames = folder / 'frames' / f'v {video}'
        frames.mkdir(parents=True)
        for number in range(length):
            image = np.full((36, 48, 3), 20 * video + 2 * number, np.uint8)
            cv2.imwrite(str(frames / f'img_{number + 1:05}.png'), image)
    return folder


def make(folder, text=None, steps=OURS, kind='WholeVideoDataset', **kwargs):
    path = folder / 'list.txt'
    if text is None:
        text = ''.join(f'{k}.avi {k}\n' for k in range(len(LENGTHS)))
    path.write_text(text)
    config = dict(
        type=kind,
        ann_file=str(path),
        data_prefix=dict(video=str(folder / 'videos')),
        pipeline=[*steps, *PACK],
        test_mode=True,
    )
    return DATASETS.build({**config, **kwargs})


def make_frames(folder, text=None, **kwargs):
    if text is None:
        text = ''.join(f'v {k} {n} {k}\n' for k, n in enumerate(LENGTHS))
    return make(
        folder,
        text,
        [SAMPLE, dict(type='RawFrameDecode')],
        **{
            'kind': 'WholeRawframeDataset',
            'data_prefix': dict(img=str(folder / 'frames')),
            'filename_tmpl': 'img_{:05}.png',
            **kwargs,
        },
    )


def assert_same(one, other):
    assert len(one) == len(other)
    for mine, stock in zip(one, other):
        assert torch.equal(mine['inputs'], stock['inputs'])
        mine, stock = mine['data_samples'], stock['data_samples']
        assert mine.gt_label == stock.gt_label
        assert mine.filename == stock.filename
        assert mine.total_frames == stock.total_frames
        assert mine.num_clips == stock.num_clips
        assert np.array_equal(mine.frame_inds, stock.frame_inds)


@pytest.mark.parametrize('steps', [OURS, STOCK], ids=['ours', 'stock'])
def test_samples_are_those_of_the_stock_dataset(folder, steps):
    whole = make(folder, steps=steps, metainfo=dict(classes=('a', 'b', 'c')))
    stock = make(folder, steps=steps, kind='VideoDataset')
    assert_same(list(whole), list(stock))
    assert whole.num_clips.tolist() == COUNTS
    assert whole.labels.tolist() == [0, 1, 2]
    assert whole.metainfo['classes'] == ('a', 'b', 'c')


def test_samples_come_through_workers(folder):
    whole = make(folder)
    batches = DataLoader(whole, num_workers=2, collate_fn=pseudo_collate)
    for batch, sample in zip(batches, whole):
        assert torch.equal(batch['inputs'][0], sample['inputs'])


def test_folders_of_frames_are_those_of_the_stock_dataset(folder):
    text = ''.join(f'v_{k} {n} {k}\n' for k, n in enumerate(LENGTHS))
    for k in range(len(LENGTHS)):
        link = folder / 'frames' / f'v_{k}'
        if not link.exists():
            os.symlink(folder / 'frames' / f'v {k}', link)
    # Stock's names hold no spaces, and its samples no file name.
    pack = [PACK[0], dict(type='PackActionInputs', meta_keys=KEYS[1:])]
    steps = [SAMPLE, dict(type='RawFrameDecode')]
    whole, stock = (
        make_frames(folder, text, kind=kind, pipeline=[*steps, *pack])
        for kind in ('WholeRawframeDataset', 'RawframeDataset')
    )
    assert len(whole) == len(stock) == 3
    for mine, theirs in zip(whole, stock):
        assert torch.equal(mine['inputs'], theirs['inputs'])
        theirs = theirs['data_samples']
        assert np.array_equal(
            mine['data_samples'].frame_inds, theirs.frame_inds
        )


def test_lists_are_read_as_those_of_the_training(folder):
    text = '\ufeff0.avi\t0\n\ntwo words.avi  1\n  2.avi 2 \n\n'
    whole = make(folder, text)
    assert whole.labels.tolist() == [0, 1, 2]
    names = [
        os.path.basename(sample['data_samples'].filename) for sample in whole
    ]
    assert names == ['0.avi', 'two words.avi', '2.avi']


def write_sound(path):
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('pcm_s16le', rate=8000)
        samples = np.zeros((1, 8000), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, 's16', 'mono')
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_videos_that_cannot_be_used(folder):
    write_sound(folder / 'videos/sound.avi')
    text = '0.avi 0\nlost.avi 1\nsound.avi 0\n1.avi 1\n'
    with pytest.raises(ValueError) as caught:
        make(folder, text)
    message = str(caught.value)
    assert message.startswith('2 of 4 videos cannot be used')
    assert 'list.txt, line 2: ' in message
    assert 'lost.avi: there is no such file' in message
    assert 'list.txt, line 3: ' in message and 'sound.avi' in message
    kept = make(folder, text, max_bad_videos=0.5)
    assert [kept.get_data_info(k)['line'] for k in range(len(kept))] == [1, 4]
    assert kept[1]['data_samples'].filename.endswith('1.avi')


def test_a_frame_that_is_not_there(folder):
    text = 'v 0 10 0\nv 1 4 1\nv 9 3 1\n'
    with pytest.raises(ValueError) as caught:
        make_frames(folder, text)
    message = str(caught.value)
    assert message.startswith('2 of 3 videos cannot be used')
    assert 'list.txt, line 2): there is no ' in message
    assert 'v 1/img_00004.png' in message and 'v 9/img_00001' in message
    kept = make_frames(folder, text, max_bad_videos=0.7)
    assert len(kept) == 1 and len(kept[0]['inputs']) == 2


def test_another_key_of_the_folder(folder):
    for build, key in (make, 'img'), (make_frames, 'video'):
        with pytest.raises(ValueError, match=f"'{key}'.* has no '"):
            build(folder, data_prefix={key: str(folder)})


def test_a_video_that_changed_is_named(folder):
    write_video(folder / 'videos/changing.avi', 8)
    whole = make(folder, 'changing.avi 0\n')
    write_video(folder / 'videos/changing.avi', 4)
    with pytest.raises(RuntimeError, match=r'changing.avi \(.*line 1\)'):
        whole[0]


def test_a_transform_that_fails_names_the_video(folder):
    whole = make(folder, steps=[*OURS, dict(type='RandomCrop', size=64)])
    with pytest.raises(RuntimeError, match=r'0.avi \(.*list.txt, line 1\)'):
        whole[0]


def test_negative_numbers_count_from_the_end(folder):
    whole = make(folder)
    assert whole[-1]['data_samples'].filename.endswith('2.avi')
    with pytest.raises(IndexError):
        whole[3]


def test_some_of_the_videos(folder):
    whole = make(folder, indices=[2, 0])
    assert [sample['data_samples'].gt_label.item() for sample in whole] == [
        2,
        0,
    ]


@pytest.mark.parametrize('frames', [False, True], ids=['videos', 'frames'])
def test_a_list_without_labels(folder, frames):
    build = make_frames if frames else make
    text = 'v 0 10\n' if frames else 'two words.avi\n'
    whole = build(folder, text, labelled=False)
    assert whole.labels is None
    assert 'gt_label' not in whole[0]['data_samples']


def test_a_line_without_a_label(folder):
    with pytest.raises(ValueError, match=r"line 2: '1.avi' has too few field"):
        make(folder, '0.avi 0\n1.avi\n')


def test_predictions_without_labels(folder, tmp_path):
    (folder / 'unlabelled.txt').write_text('0.avi\n2.avi\n')
    (folder / 'ann.txt').write_text('0.avi 0\n1.avi 1\n')
    out = str(tmp_path / 'results.npz')
    runner = small_runner(
        tmp_path,
        folder,
        'test_dataloader.update(num_workers=0, persistent_workers=False)\n'
        "test_dataloader['dataset'].update(\n"
        "    ann_file='unlabelled.txt', labelled=False)\n"
        "test_evaluator = [dict(type='AccMetric'),\n"
        f"    dict(type='ClipConsistencyMetric', out_file={out!r})]\n",
    )
    figures = runner.test()
    assert sorted(figures) == ['clip/agreement', 'clip/pairwise_distance']
    assert 'have no labels: AccMetric is left out' in log_of(runner)
    results = load_clip_results(out)
    assert results.labels.tolist() == [-1, -1]
    assert [os.path.basename(name) for name in results.filenames] == [
        '0.avi',
        '2.avi',
    ]
    assert results.clip_scores.shape == (4, 2)

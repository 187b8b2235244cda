"""Features in place of pixels: items, draws, subsets, and files that err."""

import json
import pickle

import numpy as np
import pytest
from feature_runs import write_store

from vll_mmaction.datasets import (
    ClipBatch,
    ClipFeatureDataset,
    ConcatDataset,
    FeatureStore,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
)

FRAMES = [9, 4, 13, 3]  # 2, 1, 3 and 1 clips


def dataset(folder, **kwargs):
    return ClipFeatureDataset(
        'ann.txt',
        data_root=str(folder),
        features='features',
        **kwargs,
    )


def test_items_are_clips(tmp_path):
    features = write_store(tmp_path, FRAMES)
    data = dataset(tmp_path)
    assert data.clip_counts.tolist() == [2, 1, 3, 1]
    assert len(data) == 7
    samples = data.__getitems__([4, 0, -1])
    for sample, row in zip(samples, (4, 0, 6)):
        assert sample['inputs'].shape == (1, 16)
        assert np.array_equal(sample['inputs'][0].numpy(), features[row, 0])
    meta = [
        (x['data_samples'].video_id, x['data_samples'].clip_id)
        for x in samples
    ]
    assert meta == [(2, 1), (0, 0), (3, 0)]
    assert [int(x['data_samples'].gt_label) for x in samples] == [0, 0, 1]
    assert data[4]['data_samples'].video_id == 2
    with pytest.raises(IndexError):
        data[7]


def test_in_test_mode_items_are_videos(tmp_path):
    features = write_store(tmp_path, FRAMES, draws=3)
    data = dataset(tmp_path, test_mode=True)
    assert len(data) == 4
    sample = data[2]
    mean = features[3:6].astype(np.float32).mean(axis=1)
    assert np.allclose(sample['inputs'].numpy(), mean, atol=1e-6)
    meta = sample['data_samples']
    assert (meta.filename, meta.num_clips) == ('2.avi', 3)
    assert meta.frame_inds.tolist() == [3] * 4 + [4] * 4 + [5] * 4
    assert data.get_data_info(2)['total_frames'] == 13


def test_a_list_without_labels(tmp_path):
    features = write_store(tmp_path, FRAMES)
    (tmp_path / 'ann.txt').write_text('2.avi\n1.avi\n')
    data = dataset(tmp_path, test_mode=True, labelled=False)
    assert data.labels.tolist() == [-1, -1]
    assert np.array_equal(data[0]['inputs'].numpy(), features[3:6, 0])


def test_whole_videos_and_subsets(tmp_path):
    features = write_store(tmp_path, FRAMES)
    data = dataset(tmp_path, indices=[3, 2])
    assert data.clip_counts.tolist() == [1, 3]
    assert np.array_equal(data[1]['inputs'][0].numpy(), features[3, 0])
    both = ConcatDataset([dataset(tmp_path), data])
    sampler = VideoGroupedSampler(both, seed=0)
    batches = list(VideoGroupedBatchSampler(sampler, batch_size=2))
    assert sum(map(len, batches)) == 7 + 4
    ids = [x['data_samples'].video_id for x in both.__getitems__(batches[0])]
    assert len(set(ids)) == 2


def test_draws_follow_the_epoch(tmp_path):
    features = write_store(tmp_path, FRAMES, draws=8)
    data = dataset(tmp_path)

    def drawn(epoch):
        samples = data.__getitems__(ClipBatch(range(7), key=(0, epoch)))
        return np.stack([x['inputs'][0].numpy() for x in samples])

    assert np.array_equal(drawn(0), drawn(0))
    assert not np.array_equal(drawn(0), drawn(1))
    chosen = (features == drawn(0)[:, None]).all(axis=2)
    assert chosen.sum(axis=1).tolist() == [1] * 7
    # A clip alone is drawn as it is in a batch of its video.
    assert len(set(chosen.argmax(axis=1))) > 1


def test_few_random_clips(tmp_path):
    features = write_store(tmp_path, [40, 4])
    rule = dict(
        type='SampleVideoClips', clip_len=4, max_clips=3, keep='random'
    )
    data = dataset(tmp_path, pipeline=[rule])
    assert data.clip_counts.tolist() == [3, 1]
    seen = set()
    for epoch in range(20):
        samples = data.__getitems__(ClipBatch(range(3), key=(0, epoch)))
        rows = [
            int((features[:, 0] == x['inputs'].numpy()).all(axis=1).argmax())
            for x in samples
        ]
        assert rows == sorted(set(rows))
        seen.update(rows)
    assert seen == set(range(10))


def test_pickles_as_a_path(tmp_path):
    write_store(tmp_path, FRAMES, channels=2000)
    store = FeatureStore(str(tmp_path / 'features'))
    text = pickle.dumps(store)
    assert len(text) < 1000
    assert pickle.loads(text).features.shape == (7, 1, 2000)


def test_another_rule(tmp_path):
    write_store(tmp_path, FRAMES)
    rule = dict(type='SampleVideoClips', clip_len=8)
    with pytest.raises(ValueError, match='clip_len=8, clip_stride=8, but'):
        dataset(tmp_path, pipeline=[rule])
    rule = dict(type='SampleVideoClips', clip_len=4, clip_stride=4)
    assert len(dataset(tmp_path, pipeline=[rule])) == 7
    with pytest.raises(ValueError, match='reads no frames'):
        dataset(tmp_path, pipeline=[dict(type='DecordInit')])


def test_videos_that_are_missing(tmp_path):
    write_store(tmp_path, FRAMES)
    (tmp_path / 'ann.txt').write_text('0.avi 1\nother.avi 0\n')
    with pytest.raises(ValueError, match=r'1 of the 2 videos.*other\.avi'):
        dataset(tmp_path)


def test_files_that_err(tmp_path):
    write_store(tmp_path, FRAMES)
    folder = tmp_path / 'features'
    file = folder / 'features.npy'
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match='features.npy cannot be read, or'):
        dataset(tmp_path)
    np.save(file, np.zeros((6, 1, 16), np.float16))
    with pytest.raises(ValueError, match=r'holds \(6, 1, 16\) numbers'):
        dataset(tmp_path)
    file.write_bytes(whole)
    about = json.loads((folder / 'about.json').read_text())
    (folder / 'about.json').write_text(json.dumps(dict(about, version=9)))
    with pytest.raises(ValueError, match='has version 9'):
        dataset(tmp_path)
    folder.rename(tmp_path / 'features.part')
    with pytest.raises(FileNotFoundError, match='not finished'):
        dataset(tmp_path)
    (tmp_path / 'features.part').rename(tmp_path / 'x')
    with pytest.raises(FileNotFoundError, match='ClipFeatureLoop'):
        dataset(tmp_path)


def test_numbers_that_are_not_finite(tmp_path):
    write_store(tmp_path, FRAMES)
    data = dataset(tmp_path)
    data.check_finite()
    features = np.load(tmp_path / 'features/features.npy', mmap_mode='r+')
    features[4, 0, 3] = np.nan
    with pytest.raises(ValueError, match=r'not finite: 2\.avi, clip 1'):
        dataset(tmp_path).check_finite()
    dataset(tmp_path, indices=[0, 1, 3]).check_finite()

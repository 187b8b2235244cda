import copy
import os
import pickle
import shutil

import decord
import numpy as np
import pytest
import torch
from mmaction.datasets.transforms import DecordInit
from mmaction.registry import DATASETS
from mmengine.dataset import pseudo_collate
from mmengine.fileio import BaseStorageBackend, FileClient
from mmengine.runner import Runner
from torch.utils.data import DataLoader
from video_files import read_video, write_dataset, write_video

from vll_mmaction.datasets import ClipBatch, VideoClipDataset

LENGTHS = [40, 3, 17, 90, 8]
COUNTS = [5, 1, 2, 11, 1]  # clips of 8 frames

READ = [
    dict(type='DecordInit'),
    dict(type='SampleVideoClips', clip_len=8),
    dict(type='DecordDecode'),
]
OURS = [
    dict(type='VideoReaderInit'),
    dict(type='SampleVideoClips', clip_len=8),
    dict(type='ReadVideoClips'),
]
PACK = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
RANDOM = [
    dict(type='Resize', scale=(-1, 40)),
    dict(type='RandomCrop', size=32),
    dict(type='Flip', flip_ratio=0.5),
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('clips')
    write_dataset(folder, LENGTHS, num_classes=3)
    return folder


def make(folder, transforms=(), read=READ, **kwargs):
    return VideoClipDataset(
        ann_file=str(folder / 'ann.txt'),
        data_prefix=dict(video=str(folder / 'videos')),
        pipeline=[*read, *transforms, *PACK],
        **kwargs,
    )


def test_clips_are_the_frames_opencv_reads(folder):
    dataset = make(folder)
    assert len(dataset) == sum(COUNTS)
    np.testing.assert_array_equal(dataset.clip_counts, COUNTS)
    index = 0
    for video, (length, count) in enumerate(zip(LENGTHS, COUNTS)):
        frames = read_video(folder / 'videos' / f'{video}.avi')
        assert len(frames) == length
        for clip in range(count):
            sample = dataset[index]
            wanted = frames[np.arange(8 * clip, 8 * clip + 8) % length]
            inputs = sample['inputs']
            assert inputs.dtype == torch.uint8
            assert inputs.shape == (1, 3, 8, 48, 64)
            np.testing.assert_array_equal(
                inputs[0].permute(1, 2, 3, 0).numpy(), wanted
            )
            meta = sample['data_samples'].metainfo
            assert meta['video_id'] == video
            assert meta['clip_id'] == clip
            assert meta['total_frames'] == length
            assert meta['filename'].endswith(f'videos/{video}.avi')
            np.testing.assert_array_equal(
                meta['frame_inds'],
                np.arange(8 * clip, 8 * clip + 8) % length,
            )
            assert sample['data_samples'].gt_label.tolist() == [video % 3]
            info = dataset.get_data_info(index)
            assert (info['video_id'], info['clip_id']) == (video, clip)
            assert dataset.get_cat_ids(index) == [video % 3]
            index += 1


def test_a_video_is_opened_once_a_batch(folder, monkeypatch):
    dataset = make(folder)
    opened = []
    original = DecordInit._get_video_reader

    def spy(self, filename):
        opened.append(filename)
        return original(self, filename)

    monkeypatch.setattr(DecordInit, '_get_video_reader', spy)
    samples = dataset.__getitems__(list(range(len(dataset))))
    assert len(samples) == sum(COUNTS)
    assert len(opened) == len(set(opened)) == len(LENGTHS)


def test_any_order_of_clips(folder):
    dataset = make(folder)
    order = np.random.default_rng(0).permutation(len(dataset)).tolist()
    for index, sample in zip(order, dataset.__getitems__(order)):
        torch.testing.assert_close(sample['inputs'], dataset[index]['inputs'])
    assert (
        dataset[-1]['data_samples'].filename
        == dataset[len(dataset) - 1]['data_samples'].filename
    )
    with pytest.raises(IndexError, match='there are 20'):
        dataset[20]


def test_clips_of_a_video_share_one_array_and_label(folder):
    samples = make(folder).__getitems__(list(range(8, 19)))
    storages = {s['inputs'].untyped_storage().data_ptr() for s in samples}
    labels = {id(s['data_samples'].gt_label) for s in samples}
    assert len(storages) == len(labels) == 1
    assert all(s['inputs'].is_contiguous() for s in samples)


def batch(dataset, key, indices=None):
    indices = range(len(dataset)) if indices is None else indices
    samples = dataset.__getitems__(ClipBatch(indices, key=key))
    return torch.stack([sample['inputs'] for sample in samples])


def test_draws_are_a_function_of_seed_epoch_and_clip(folder):
    dataset = make(folder, RANDOM)
    first = batch(dataset, (1, 0))
    np.random.seed(3)
    assert torch.equal(first, batch(dataset, (1, 0)))
    assert not torch.equal(first, batch(dataset, (1, 1)))
    assert not torch.equal(first, batch(dataset, (2, 0)))
    # The same for a clip on its own, as clip-level training asks for it.
    for index in (0, 7, 19):
        assert torch.equal(first[index], batch(dataset, (1, 0), [index])[0])
    state = np.random.get_state()[1].copy()
    batch(dataset, (1, 0))
    assert (np.random.get_state()[1] == state).all()


def test_augmentation_a_clip_or_a_video(folder):
    def offsets(**kwargs):
        dataset = make(folder, [dict(type='RandomCrop', size=32)], **kwargs)
        frames = read_video(folder / 'videos' / '3.avi')
        found = []
        for clip in batch(dataset, (0, 0), range(8, 19)):
            number = len(found)
            frame, crop = frames[8 * number], clip[0, :, 0].permute(1, 2, 0)
            places = [
                (y, x)
                for y in range(17)
                for x in range(33)
                if (frame[y : y + 32, x : x + 32] == crop.numpy()).all()
            ]
            found.append(places[0])
        return set(found)

    assert len(offsets()) > 3
    assert len(offsets(per_video_augmentation=True)) == 1


def test_random_clips_agree_within_an_epoch(folder):
    read = copy.deepcopy(READ)
    read[1].update(max_clips=3, keep='random')
    dataset = make(folder, read=read)
    np.testing.assert_array_equal(dataset.clip_counts, [3, 1, 2, 3, 1])

    def starts(key, indices):
        samples = dataset.__getitems__(ClipBatch(indices, key=key))
        return [int(s['data_samples'].frame_inds[0]) for s in samples]

    whole = starts((0, 0), [6, 7, 8])
    assert whole == sorted(set(whole))
    assert [starts((0, 0), [k])[0] for k in (6, 7, 8)] == whole
    assert len({tuple(starts((0, e), [6, 7, 8])) for e in range(9)}) > 3


def test_without_a_key_draws_follow_the_global_state(folder):
    dataset = make(folder, RANDOM)
    np.random.seed(0)
    first = batch(dataset, None)
    assert not torch.equal(first, batch(dataset, None))
    np.random.seed(0)
    assert torch.equal(first, batch(dataset, None))


def test_subsets_choose_videos(folder):
    dataset = make(folder)
    assert make(folder, indices=2).clip_counts.tolist() == [5, 1]
    assert dataset.get_subset(2).clip_counts.tolist() == [5, 1]
    assert dataset.get_subset(-2).clip_counts.tolist() == [11, 1]
    part = dataset.get_subset([3, 0])
    assert part.clip_counts.tolist() == [11, 5]
    assert len(part) == 16
    assert part[11]['data_samples'].filename.endswith('0.avi')
    assert part[11]['data_samples'].video_id == 1
    assert dataset.get_subset([]).clip_counts.tolist() == []
    assert dataset.get_subset(np.array([4])).clip_counts.tolist() == [1]
    assert dataset.clip_counts.tolist() == COUNTS
    dataset.get_subset_([-1, 2])
    assert dataset.clip_counts.tolist() == [1, 2]
    with pytest.raises(IndexError, match='beyond the 2'):
        dataset.get_subset([2])
    with pytest.raises(IndexError, match='beyond the 2'):
        dataset.get_subset(3)


def test_a_replaced_pipeline_is_used(folder):
    dataset = make(folder)
    dataset.pipeline = make(folder, RANDOM).pipeline
    assert dataset[0]['inputs'].shape == (1, 3, 8, 32, 32)


def loader(dataset, num_workers=2, **kwargs):
    return Runner.build_dataloader(
        dict(
            dataset=dataset,
            sampler=dict(type='VideoGroupedSampler'),
            batch_sampler=dict(type='VideoGroupedBatchSampler'),
            batch_size=2,
            num_workers=num_workers,
            **kwargs,
        ),
        seed=4,
    )


def test_through_the_loader_of_mmengine(folder):
    """Whatever the workers, batches hold whole videos and equal draws."""
    dataset = make(folder, RANDOM)

    def batches(num_workers):
        data = loader(dataset, num_workers)
        data.batch_sampler.sampler.set_epoch(1)
        return list(data)

    seen = []
    for alone, shared in zip(batches(0), batches(2)):
        assert torch.equal(
            torch.stack(alone['inputs']), torch.stack(shared['inputs'])
        )
        ids = [s.video_id for s in alone['data_samples']]
        assert ids == [s.video_id for s in shared['data_samples']]
        for video in set(ids):
            assert ids.count(video) == COUNTS[video]
        seen += list(dict.fromkeys(ids))
    assert len(seen) == 6 and set(seen) == set(range(5))
    assert len(loader(dataset, 0, num_batch_per_epoch=1)) == 1


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'ConcatDataset'])
def test_wrappers_keep_videos_together(folder, wrapper):
    dataset = make(folder, RANDOM)
    if wrapper == 'RepeatDataset':
        wrapped = DATASETS.build(dict(type=wrapper, dataset=dataset, times=2))
    else:
        wrapped = DATASETS.build(
            dict(type=wrapper, datasets=[dataset, make(folder, RANDOM)])
        )
    assert wrapped.clip_counts.tolist() == COUNTS * 2
    assert len(wrapped) == 2 * len(dataset)
    samples = wrapped.__getitems__(ClipBatch([0, 20, 1, 39], key=(0, 0)))
    metas = [sample['data_samples'] for sample in samples]
    assert [m.video_id for m in metas] == [0, 5, 0, 9]
    assert [m.clip_id for m in metas] == [0, 0, 1, 0]
    # The two runs of a video draw for themselves.
    assert not torch.equal(samples[0]['inputs'], samples[1]['inputs'])
    videos = set()
    for data in loader(wrapped, 0):
        ids = [s.video_id for s in data['data_samples']]
        for video in set(ids):
            assert ids.count(video) == (COUNTS * 2)[video]
        videos |= set(ids)
    assert videos == set(range(10))


def test_wrappers_around_stock_datasets_are_stock(folder):
    stock = dict(
        type='VideoDataset',
        ann_file=str(folder / 'ann.txt'),
        data_prefix=dict(video=str(folder / 'videos')),
        pipeline=[*READ, *PACK],
    )
    wrapped = DATASETS.build(
        dict(type='RepeatDataset', dataset=stock, times=2)
    )
    assert wrapped.clip_counts is None
    data = DataLoader(wrapped, batch_size=1, collate_fn=pseudo_collate)
    assert len(list(data)) == 10
    # All clips of a video in one sample: what testing wants.
    assert [len(wrapped[k]['inputs']) for k in range(5)] == COUNTS


def test_other_wrappers_are_refused_by_name(folder):
    wrapped = DATASETS.build(
        dict(
            type='ClassBalancedDataset',
            oversample_thr=0.1,
            dataset=make(folder),
        )
    )
    with pytest.raises(TypeError, match='ClassBalancedDataset hides'):
        loader(wrapped)
    with pytest.raises(TypeError, match='needs a dataset whose items'):
        loader([1, 2, 3])


def test_videos_in_other_storage(folder, tmp_path):
    """backend_args pass through, and frames are counted through them."""

    class Memory(BaseStorageBackend):
        files = {
            f'far://videos/{k}.avi': (folder / f'videos/{k}.avi').read_bytes()
            for k in range(5)
        }

        def get(self, filepath):
            return self.files[filepath]

        def get_text(self, filepath):
            return self.get(filepath).decode()

    FileClient.register_backend('memory_of_test', Memory, force=True)
    lines = ''.join(f'{k}.avi {k % 3}\n' for k in range(5))
    (tmp_path / 'ann.txt').write_text(lines)
    far = VideoClipDataset(
        ann_file=str(tmp_path / 'ann.txt'),
        data_prefix=dict(video='far://videos'),
        pipeline=[
            dict(type='DecordInit', io_backend='memory_of_test'),
            *READ[1:],
            *PACK,
        ],
    )
    assert far.clip_counts.tolist() == COUNTS
    near = make(folder)
    for index in range(len(near)):
        assert torch.equal(far[index]['inputs'], near[index]['inputs'])
    Memory.files.pop('far://videos/3.avi')
    shutil.rmtree(tmp_path / 'ann.txt.frame_index')
    far._fully_initialized = False
    with pytest.raises(ValueError, match='line 4: far://videos/3.avi: Key'):
        far.full_init()


def test_survives_pickling(folder):
    dataset = pickle.loads(pickle.dumps(make(folder)))
    assert dataset.clip_counts.tolist() == COUNTS


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    'line, message',
    [
        ('3.avi', r"ann.txt, line 4: '3.avi' has too few fields"),
        ('3.avi one', r"line 4: the label 'one' is not a whole number"),
        ('3.avi -1', r'line 4: the label -1 is out of range \(0 to 2\)'),
        ('3.avi 3', r'line 4: the label 3 is out of range \(0 to 2\)'),
        ('gone.avi 1', r'line 4: .*gone.avi: there is no such file'),
        ('empty.avi 1', r'line 4: .*empty.avi: the file is empty'),
        ('text.avi 1', r'line 4: .*text.avi: it cannot be opened'),
    ],
)
def test_bad_annotation_lines(tmp_path, line, message):
    write_dataset(tmp_path, [9, 9, 9], num_classes=3)
    (tmp_path / 'videos/empty.avi').write_bytes(b'')
    (tmp_path / 'videos/text.avi').write_text('text')
    with open(tmp_path / 'ann.txt', 'a') as file:
        print(line, file=file)
    with pytest.raises(ValueError, match=message):
        make(tmp_path, num_classes=3)


def test_few_bad_videos_are_left_out_and_told(tmp_path, capsys):
    write_dataset(tmp_path, [9] * 3)
    (tmp_path / 'videos/1.avi').write_bytes(b'')
    dataset = make(tmp_path, max_bad_videos=0.5)
    assert dataset.clip_counts.tolist() == [1, 1]
    assert dataset.get_data_info(1)['filename'].endswith('2.avi')


SIGNS = [
    "a b/c #1! (x) [y] & ';=ü.avi",
    'トランポリン 🤸/jump.avi',
    '$(touch marker);`touch marker`|touch marker.avi',
    '-i.avi',
    '%03d.avi',
    'concat:0.avi|0.avi',
    'two  spaces\tand a tab.avi',
    '"quoted" \\back.avi',
    '../beside.avi',
    'deep/../0.avi',
]


@pytest.mark.parametrize('read', [READ, OURS], ids=['stock', 'ours'])
def test_paths_with_signs(tmp_path, monkeypatch, read):
    monkeypatch.chdir(tmp_path)
    outside = tmp_path / 'else where' / 'outside.avi'
    names = [*SIGNS, str(outside)]
    (tmp_path / 'videos/deep').mkdir(parents=True)
    for number, name in enumerate(names):
        write_video(tmp_path / 'videos' / name, 9 + number, seed=number)
    before = sorted(tmp_path.rglob('*'))
    for delimiter in (' ', ',', '\t'):
        lines = [f'{name}{delimiter}1' for name in names]
        # Windows' line ends, and the mark that its editors put first.
        text = '\ufeff' + '\r\n'.join(lines) + '\r\n\r\n'
        (tmp_path / 'ann.txt').write_bytes(text.encode())
        dataset = make(tmp_path, read=read, delimiter=delimiter)
        assert len(dataset.clip_counts) == len(names)
        first = np.cumsum(dataset.clip_counts) - dataset.clip_counts
        for video, sample in enumerate(dataset.__getitems__(first.tolist())):
            meta = sample['data_samples']
            path = tmp_path / 'videos' / names[video]
            assert os.path.samefile(meta.filename, path)
            assert meta.gt_label.tolist() == [1]
            np.testing.assert_array_equal(
                sample['inputs'][0].permute(1, 2, 3, 0).numpy(),
                read_video(path)[:8],
            )
    made = set(tmp_path.rglob('*')) - set(before)
    index = tmp_path / 'videos/frame_index'
    assert {path.name for path in made if path.parent != index} == {
        'ann.txt',
        'frame_index',
    }


def test_an_annotation_file_in_another_encoding(tmp_path):
    write_dataset(tmp_path, [9])
    (tmp_path / 'ann.txt').write_bytes(b'0.avi 1\nm\xfcll.avi 1\n')
    with pytest.raises(ValueError, match='ann.txt, line 2: .* as UTF-8'):
        make(tmp_path)


def test_refusals(folder, tmp_path):
    (tmp_path / 'ann.txt').write_text('\n')
    with pytest.raises(ValueError, match='ann.txt lists no videos'):
        make(tmp_path)
    (tmp_path / 'ann.txt').unlink()
    with pytest.raises(FileNotFoundError, match='no annotation file .*ann'):
        make(tmp_path)
    with pytest.raises(ValueError, match='multi_class=True is not supported'):
        make(folder, multi_class=True, num_classes=3)
    with pytest.raises(ValueError, match='max_bad_videos is a share'):
        make(folder, max_bad_videos=5)
    with pytest.raises(ValueError, match='needs the transform .*Decord'):
        make(folder, read=[READ[0], READ[2]])


def test_clips_of_different_sizes_are_refused(tmp_path):
    write_dataset(tmp_path, [9, 9])
    write_video(tmp_path / 'videos/1.avi', 9, size=(96, 128))
    dataset = make(tmp_path)
    with pytest.raises(ValueError, match='1.avi, clip 0 has shape .* fixed'):
        dataset.__getitems__([0, 1])


def test_a_video_that_fails_is_replaced_as_a_whole(tmp_path):
    write_dataset(tmp_path, LENGTHS * 4)
    dataset = make(tmp_path)
    (tmp_path / 'videos/3.avi').write_bytes(b'')
    videos = [dataset.data_list.locate(i)[0] for i in range(len(dataset))]
    keep = [i for i, video in enumerate(videos) if video == 0]
    lost = [i for i, video in enumerate(videos) if video == 3]

    def metas(key):
        samples = dataset.__getitems__(ClipBatch(keep + lost, key=key))
        return [sample['data_samples'] for sample in samples]

    found = metas((0, 0))
    ids = [m.video_id for m in found]
    assert ids[:5] == [0] * 5
    (other,) = set(ids[5:])
    assert other not in (0, 3)
    assert [m.clip_id for m in found[5:]] == list(
        range(dataset.clip_counts[other])
    )
    for meta in found[5:]:
        assert meta.replaces.endswith('3.avi')
        assert meta.filename.endswith(f'/{other}.avi')
    assert 'replaces' not in found[0]
    assert [m.video_id for m in metas((0, 0))] == ids
    epochs = {metas((0, epoch))[5].video_id for epoch in range(8)}
    assert len(epochs) > 2 and 3 not in epochs


def test_two_that_fail_in_a_batch_are_replaced_by_different_ones(tmp_path):
    write_dataset(tmp_path, [9] * 5)
    dataset = make(tmp_path, max_bad_videos=0.5)
    for number in (0, 1):
        (tmp_path / f'videos/{number}.avi').write_bytes(b'')
    for epoch in range(8):
        batch = ClipBatch([0, 1], key=(0, epoch))
        samples = dataset.__getitems__(batch)
        ids = [sample['data_samples'].video_id for sample in samples]
        assert len(set(ids)) == 2 and set(ids) <= {2, 3, 4}


def test_too_many_failing_videos_end_the_training(tmp_path):
    write_dataset(tmp_path, [9] * 10)
    dataset = make(tmp_path)
    for number in range(3):
        (tmp_path / f'videos/{number}.avi').write_bytes(b'')
    with pytest.raises(RuntimeError, match='2 videos could not be read'):
        dataset.__getitems__([0, 1, 2])


def test_in_test_mode_a_failing_video_is_an_error(tmp_path):
    write_dataset(tmp_path, [9, 9])
    dataset = make(tmp_path, test_mode=True)
    (tmp_path / 'videos/1.avi').write_bytes(b'')
    with pytest.raises(RuntimeError, match='1.avi .*line 2.* DecordInit'):
        dataset[1]


def test_a_video_that_changed_since_it_was_indexed(tmp_path):
    write_dataset(tmp_path, [9, 9])
    dataset = make(tmp_path, test_mode=True)
    write_video(tmp_path / 'videos/1.avi', 12)
    assert len(decord.VideoReader(str(tmp_path / 'videos/1.avi'))) == 12
    with pytest.raises(RuntimeError, match='has 12 frames, 9 when it was'):
        dataset[1]

"""Tables of many videos: shared by processes, handed on as a path."""

import json
import os
import pickle
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader
from video_files import write_dataset

from vll_mmaction.datasets import (
    VideoClipDataset,
    VideoGroupedBatchSampler,
    VideoGroupedSampler,
    clip_table,
)
from vll_mmaction.video_io.frame_index import FrameIndex

PACK = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
COUNTS = [2, 1, 3, 1]


def make(folder, start=(dict(type='VideoReaderInit'),), seek=False, **kwargs):
    return VideoClipDataset(
        ann_file=str(folder / 'ann.txt'),
        data_prefix=dict(video=str(folder / 'videos')),
        pipeline=[
            *start,
            dict(type='SampleVideoClips', clip_len=8),
            dict(type='ReadVideoClips', seek=seek),
            *PACK,
        ],
        **kwargs,
    )


@pytest.fixture
def shared(monkeypatch, tmp_path):
    """Even small tables are kept in files."""
    monkeypatch.setattr(clip_table, 'SHARE_FROM', 0)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache/vll_mmaction/clip_tables'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('table')
    write_dataset(folder, [17, 8, 31, 9])
    return folder


@pytest.mark.parametrize('seek', [False, True])
def test_what_is_pickled_is_a_path(folder, shared, seek):
    dataset = make(folder, seek=seek)
    table = dataset.data_list
    assert table.folder and isinstance(table.clip_counts.base, np.memmap)
    assert dataset.clip_counts.tolist() == COUNTS
    state = pickle.dumps(table)
    assert len(state) < 1000 and str(shared).encode() in state
    again = pickle.loads(state)
    assert again.clip_counts.tolist() == COUNTS
    assert [again[k] for k in range(4)] == [table[k] for k in range(4)]
    assert ('key_packets' in dataset.get_data_info(0)) == seek
    other = pickle.loads(pickle.dumps(dataset))
    for clip in (0, 3, 6):
        assert torch.equal(other[clip]['inputs'], dataset[clip]['inputs'])
    # Another process finds the files of the first.
    assert make(folder, seek=seek).data_list.folder == table.folder
    assert len(os.listdir(shared)) == 1


def test_a_subset_is_a_table_of_its_own(folder, shared):
    dataset = make(folder)
    part = dataset.get_subset([2, 0])
    assert part.clip_counts.tolist() == [3, 2]
    assert part.data_list.folder not in ('', dataset.data_list.folder)
    assert part._replacement is not dataset._replacement
    assert part[3]['data_samples'].filename.endswith('0.avi')
    assert make(folder, indices=-2).clip_counts.tolist() == [3, 1]
    assert dataset.clip_counts.tolist() == COUNTS


def test_without_room_each_process_has_its_own(folder, shared, monkeypatch):
    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(clip_table, 'save_columns', fail)
    dataset = make(folder)
    assert not dataset.data_list.folder
    again = pickle.loads(pickle.dumps(dataset))
    assert again.clip_counts.tolist() == COUNTS


def test_tables_that_nobody_uses_go(folder, shared):
    old = shared / 'old'
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    (shared / 'young').mkdir()
    make(folder)
    assert not old.exists() and (shared / 'young').exists()


@pytest.mark.parametrize('start', ['fork', 'spawn'])
def test_workers_read_the_same(folder, shared, start):
    dataset = make(folder)
    sampler = VideoGroupedSampler(dataset, shuffle=False)
    batches = VideoGroupedBatchSampler(sampler, 2)

    def read(**kwargs):
        loader = DataLoader(
            dataset,
            batch_sampler=batches,
            collate_fn=pseudo_collate,
            **kwargs,
        )
        return [torch.stack(batch['inputs']) for batch in loader]

    alone = read()
    several = read(num_workers=1, multiprocessing_context=start)
    assert len(alone) == len(several) == 2
    assert all(map(torch.equal, alone, several))


def test_no_loop_over_clips_or_videos(folder, monkeypatch):
    """Of a million videos the start would take minutes."""
    make(folder)
    for name in ('__getitem__', 'filename'):
        monkeypatch.setattr(clip_table.ClipTable, name, None)
    assert len(make(folder)) == sum(COUNTS)


def test_videos_that_decord_gets_wrong_are_named(folder, tmp_path):
    write_dataset(tmp_path, [17, 17, 17])
    start = [dict(type='DecordInit')]
    table = make(tmp_path, start).data_list
    assert table.clip_counts.tolist() == [2, 2, 2]
    # As if it had packed B-frames.
    index = FrameIndex(
        str(tmp_path / 'videos/frame_index'), str(tmp_path / 'videos')
    )
    row = index.store.find(index.keys(table.columns['names'])).row(1)
    facts = replace(row.facts, decord='decord counts 10 frames for 9')
    with index.store.writer() as writer:
        writer.append(row._replace(facts=facts, when=row.when + 1))
    wanted = (
        r'line 2: .*1.avi: decord counts 10 frames for 9: write '
        'VideoReaderInit and ReadVideoClips in the place of DecordInit'
    )
    # Whatever report there is, it does not list this video.
    (tmp_path / 'videos/frame_index.bad.txt').write_text('other.avi: empty\n')
    with pytest.raises(ValueError, match=wanted) as caught:
        make(tmp_path, start)
    assert 'The full list' not in str(caught.value)
    assert len(make(tmp_path, start, max_bad_videos=0.5).clip_counts) == 2
    assert len(make(tmp_path).clip_counts) == 3


@pytest.mark.parametrize(
    'wrong', [dict(count='header'), dict(check_files='sometimes')]
)
def test_choices(folder, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f'{name}=.* is none of'):
        make(folder, **wrong)


def test_parts_are_counted_by_the_tool(tmp_path, monkeypatch, capsys):
    write_dataset(tmp_path, [5, 6, 7, 8])
    tool = Path(__file__).parents[2] / 'tools/data/count_frames.py'
    options = [str(tmp_path / 'videos'), str(tmp_path / 'ann.txt'), '--part']

    def run(part):
        monkeypatch.setattr(sys, 'argv', [str(tool), *options, part])
        runpy.run_path(str(tool), run_name='__main__')
        files = (tmp_path / 'videos/frame_index').glob('*.done')
        lines = [line for f in files for line in f.read_text().splitlines()]
        return sorted(json.loads(line[9:])[0] for line in lines)

    assert 0 < len(run('1/2')) < 4
    assert run('2/2') == ['0.avi', '1.avi', '2.avi', '3.avi']
    assert run('2/2') == run('1/2') == ['0.avi', '1.avi', '2.avi', '3.avi']
    with pytest.raises(SystemExit):
        run('3/2')
    assert 'i/n, with i from 1 to n' in capsys.readouterr().err

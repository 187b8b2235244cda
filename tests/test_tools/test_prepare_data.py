"""From small trees with official-like names to annotation lists."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import make_stand_in
import pytest
from data_sets import HMDB, UCF, write_archives, write_ucf_splits
from mmaction.datasets import VideoDataset
from mmengine.config import Config
from mmengine.runner import Runner
from stock_tools import ROOT
from video_lists import (
    HMDB51,
    UCF101,
    PreparationError,
    prepare,
)

from vll_mmaction.datasets import VideoClipDataset
from vll_mmaction.evaluation import load_clip_results
from vll_mmaction.video_io import frame_index
from vll_mmaction.video_io.frame_index import load_or_build

TOOLS = ROOT / 'tools/data'
CONFIGS = ROOT / 'configs'


@pytest.fixture(scope='module')
def archives(tmp_path_factory):
    """Both data sets as they come, in a folder with a space."""
    root = tmp_path_factory.mktemp('as they come')
    write_archives(root)
    return root


@pytest.fixture
def ucf(archives, tmp_path):
    return Path(shutil.copytree(archives / 'ucf101', tmp_path / 'a b/ucf101'))


@pytest.fixture
def hmdb(archives, tmp_path):
    return Path(shutil.copytree(archives / 'hmdb51', tmp_path / 'a b/hmdb51'))


def lines(path):
    return path.read_text().splitlines()


def lists(out):
    return sorted(path.name for path in out.glob('*_split_*'))


PIPELINE = [
    dict(type='SampleVideoClips'),
    dict(type='ReadVideoClips', seek=True),
]


def test_the_one_command_of_ucf101(ucf):
    run = subprocess.run(
        [sys.executable, TOOLS / 'ucf101/prepare.py', 'a b/ucf101'],
        cwd=ucf.parents[1],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert '6 videos of 6' in run.stdout
    assert '10 clips' in run.stdout
    assert 'missing: 0, unreadable: 0' in run.stdout
    assert lists(ucf) == [
        f'ucf101_{part}_split_{split}_videos.txt'
        for part in ('train', 'val')
        for split in (1, 2, 3)
    ]
    assert lines(ucf / 'ucf101_val_split_2_videos.txt') == [
        'Archery/v_Archery_g08_c01.avi 0',
        'HandstandPushups/v_HandStandPushups_g08_c01.avi 1',
    ]
    assert len(lines(ucf / 'ucf101_train_split_2_videos.txt')) == 4
    assert lines(ucf / 'label_map.txt') == ['Archery', 'HandstandPushups']
    assert (ucf / 'videos').readlink() == Path('UCF-101')


def test_training_reads_what_was_prepared(ucf, monkeypatch):
    prepare(UCF101, ucf)
    monkeypatch.setattr(frame_index, 'Counting', None)  # no counting again
    dataset = VideoClipDataset(
        'ucf101_train_split_1_videos.txt',
        PIPELINE,
        data_root=str(ucf),
        data_prefix=dict(video='videos'),
        num_classes=2,
    )
    assert dataset.clip_counts.tolist() == [1, 2, 1, 2]


def test_hmdb51_marks_and_names(hmdb):
    report = prepare(HMDB51, hmdb)
    assert '5 videos of 5' in report
    assert '8 clips' in report
    first, two, three, stairs, stairs_two = HMDB
    wanted = {
        'train_split_1': [first, stairs],
        'val_split_1': [two, stairs_two],
        'train_split_2': [two, stairs_two],
        'val_split_2': [first, stairs],
        'train_split_3': [two, stairs_two],
        'val_split_3': [three, stairs],
    }
    for name, videos in wanted.items():
        path = hmdb / f'hmdb51_{name}_videos.txt'
        assert lines(path) == [
            f'{video} {int("stairs" in video)}' for video in videos
        ]
        # Stock splits lines at spaces; all names must survive that.
        dataset = VideoDataset(
            path.name,
            [],
            data_root=str(hmdb),
            data_prefix=dict(video='videos'),
            test_mode=True,
        )
        for k in range(len(dataset)):
            assert Path(dataset.get_data_info(k)['filename']).is_file()


def test_videos_and_split_files_elsewhere(ucf, tmp_path):
    out = tmp_path / 'out'
    places = dict(videos=ucf / 'UCF-101', split_files=ucf / 'ucfTrainTestlist')
    for _ in range(2):  # again: nothing changes, nothing is refused
        prepare(UCF101, out, **places)
    assert (out / 'videos').samefile(ucf / 'UCF-101')
    places['videos'] = shutil.copytree(ucf / 'UCF-101', tmp_path / 'other')
    with pytest.raises(PreparationError, match='another folder'):
        prepare(UCF101, out, **places)


def test_other_case_of_folder_and_file(ucf):
    videos = ucf / 'UCF-101'
    folder = videos / 'HandstandPushups'
    (folder / 'v_HandStandPushups_g01_c01.avi').rename(
        folder / 'v_HandstandPushups_g01_c01.avi'
    )
    folder.rename(videos / 'HandStandPushups')
    assert 'in another case: 3' in prepare(UCF101, ucf)
    assert lines(ucf / 'ucf101_val_split_1_videos.txt')[1] == (
        'HandStandPushups/v_HandstandPushups_g01_c01.avi 1'
    )


def test_goes_on_after_it_was_stopped(ucf):
    videos = [str(ucf / 'videos' / name) for name in UCF]
    (ucf / 'videos').symlink_to('UCF-101')
    path = ucf / 'videos/frame_index'
    index = load_or_build(videos[:3], str(path), str(ucf / 'videos'))
    # A later count would give what the file says, not this.
    row = index.store.find(index.names(videos[:1])).row(0)
    facts = dataclasses.replace(row.facts, frames=1600)
    with index.store.writer() as writer:
        writer.append(row._replace(facts=facts, when=row.when + 1))
    assert '109 clips' in prepare(UCF101, ucf)


def test_absent_video(ucf):
    (ucf / 'UCF-101/Archery/v_Archery_g08_c01.avi').unlink()
    with pytest.raises(PreparationError) as error:
        prepare(UCF101, ucf)
    for part in ('missing: 1', 'v_Archery_g08_c01.avi', 'No list was writ'):
        assert part in str(error.value)
    assert not lists(ucf)
    report = prepare(UCF101, ucf, allow_missing=True)
    assert '5 videos of 6' in report
    assert len(lines(ucf / 'ucf101_val_split_2_videos.txt')) == 1
    problems = lines(ucf / 'ucf101_unusable_videos.txt')
    assert problems == ['Archery/v_Archery_g08_c01.avi\tthere is no such file']


def test_cut_off_video(hmdb):
    name = list(HMDB)[1]
    (hmdb / 'hmdb51_org' / name).write_bytes(b'RIFF')
    with pytest.raises(PreparationError, match='unreadable: 1') as error:
        prepare(HMDB51, hmdb)
    assert name in str(error.value)
    prepare(HMDB51, hmdb, allow_missing=True)
    listed = (hmdb / 'hmdb51_val_split_1_videos.txt').read_text()
    assert name not in listed


def test_renamed_class_folder(hmdb):
    videos = hmdb / 'hmdb51_org'
    (videos / 'climb_stairs').rename(videos / 'Climb Stairs')
    with pytest.raises(PreparationError, match="'Climb Stairs' looks like"):
        prepare(HMDB51, hmdb)
    assert not lists(hmdb)


def test_archives_inside_the_archive(hmdb):
    shutil.rmtree(hmdb / 'hmdb51_org')
    (hmdb / 'hmdb51_org').mkdir()
    (hmdb / 'hmdb51_org/climb.rar').touch()
    with pytest.raises(PreparationError, match='each CLASS.rar'):
        prepare(HMDB51, hmdb)


def test_nothing_is_overwritten(ucf):
    prepare(UCF101, ucf)
    changed = ucf / 'ucf101_val_split_2_videos.txt'
    changed.write_text('mine 0\n')
    (ucf / 'ucf101_val_split_1_videos.txt').unlink()
    with pytest.raises(PreparationError, match='Nothing was written'):
        prepare(UCF101, ucf)
    assert changed.read_text() == 'mine 0\n'
    assert not (ucf / 'ucf101_val_split_1_videos.txt').exists()
    prepare(UCF101, ucf, overwrite=True)
    assert len(lines(changed)) == 2


@pytest.mark.parametrize(
    ('file', 'old', 'new', 'message'),
    [
        ('trainlist01.txt', 'c01.avi 1', 'c01.avi 2', 'line 1: .* not 2'),
        ('testlist01.txt', 'Archery/', 'Arch/', 'line 1: .* no video of a'),
        ('testlist01.txt', 'g01', 'g08', 'more than once'),
        ('classInd.txt', '2 ', '3 ', 'line 2: wanted "2 ClassName"'),
    ],
)
def test_damaged_ucf101_split_file(ucf, file, old, new, message):
    path = ucf / 'ucfTrainTestlist' / file
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(PreparationError, match=message):
        prepare(UCF101, ucf)


def test_damaged_hmdb51_split_file(hmdb):
    folder = hmdb / 'testTrainMulti_7030_splits'
    path = folder / 'climb_test_split2.txt'
    text = path.read_text()
    path.write_text(text.replace('avi 2', 'avi 3'))
    with pytest.raises(PreparationError, match='line 1: wanted .* got'):
        prepare(HMDB51, hmdb)
    path.unlink()
    with pytest.raises(PreparationError, match='climb_test_split2.txt'):
        prepare(HMDB51, hmdb)


def test_nothing_there(tmp_path):
    with pytest.raises(PreparationError, match='no split files in'):
        prepare(UCF101, tmp_path)
    write_ucf_splits(tmp_path / 'annotations')
    with pytest.raises(PreparationError, match='no videos in'):
        prepare(UCF101, tmp_path)


def stand_in_words(name, archives, folder):
    """Options of make_stand_in.py, but for the folder to write."""
    counts = UCF
    if name == 'hmdb51':
        counts = {video: frames for video, (frames, _) in HMDB.items()}
    file = folder / 'frames.csv'
    rows = [f'{video[:-4]},{frames}' for video, frames in counts.items()]
    file.write_text('\n'.join(['video,frames', *rows, '']))
    splits = dict(
        ucf101='ucfTrainTestlist', hmdb51='testTrainMulti_7030_splits'
    )
    splits = archives / name / splits[name]
    return [name, '--frames', str(file), '--splits', str(splits), '--out']


def test_stand_in(archives, tmp_path, capsys):
    words = stand_in_words('hmdb51', archives, tmp_path)
    make_stand_in.main([*words, str(tmp_path / 'all')])
    assert '5 videos, 8 clips' in capsys.readouterr().out
    report = prepare(HMDB51, tmp_path / 'all')
    assert '5 videos of 5' in report
    assert '8 clips' in report
    with pytest.raises(SystemExit, match='name a new folder'):
        make_stand_in.main([*words, str(tmp_path / 'all')])


@pytest.mark.parametrize('source', [UCF101, HMDB51])
def test_packed_b_frames_train_and_test(archives, tmp_path, source):
    """Our configs on files as the real ones are: packed, one key frame."""
    name, root = source.name, tmp_path / 'data'
    make_stand_in.main([*stand_in_words(name, archives, tmp_path), str(root)])
    prepare(source, root)
    config = Config.fromfile(CONFIGS / f'vll_c3d_{name}.py')
    small = dict(num_workers=0, persistent_workers=False)
    loader = dict(dataset=dict(data_root=str(root)), **small)
    config.merge_from_dict(
        {
            'work_dir': str(tmp_path / f'packed_{name}'),
            # One that cannot be read ends it.
            'train_dataloader': loader,
            'train_dataloader.dataset.max_bad_videos': 0,
            'val_dataloader': loader,
            'test_dataloader': loader,
            'test_evaluator.1.out_file': str(tmp_path / 'clips.npz'),
            'model.backbone.conv_channels': (4, 4, 8, 8, 8),
            'model.backbone.fc_channels': 16,
            'model.cls_head.in_channels': 16,
            'train_cfg': dict(max_epochs=1, val_interval=1),
            'optim_wrapper.accumulative_counts': 1,
        }
    )
    runner = Runner.from_cfg(config)
    runner.train()
    assert 'acc/top1' in runner.test()
    assert not (root / 'videos/frame_index.bad.txt').exists()
    results = load_clip_results(str(tmp_path / 'clips.npz'))
    listed = lines(root / f'{name}_val_split_1_videos.txt')
    assert len(results.labels) == len(listed)
    frames = dict(UCF, **{video: count[0] for video, count in HMDB.items()})
    wanted = [frames[line.rpartition(' ')[0]] for line in listed]
    assert results.total_frames.tolist() == wanted


# -------------------------------------------------------------- UT-Interaction


def test_ten_folds_by_sequence(tmp_path):
    """Names as the authors' archives have them: NUMBER_SEQUENCE_CLASS."""
    (tmp_path / 'videos').mkdir()
    names = [f'{c}_{s}_{c}.avi' for s in range(1, 21) for c in range(6)]
    for name in names[1:]:
        (tmp_path / 'videos' / name).touch()
    script = TOOLS / 'ut_interaction/prepare.py'
    words = [sys.executable, script, tmp_path]
    run = subprocess.run(words, capture_output=True, text=True)
    assert '119 videos, not 120' in run.stderr
    (tmp_path / 'videos' / names[0]).touch()
    subprocess.run(words, check=True)
    tested = []
    for fold in range(1, 11):
        test = lines(tmp_path / f'test_fold_{fold}.txt')
        assert {int(x.split('_')[1]) for x in test} == {fold, fold + 10}
        assert all(x[-1] == x.split('.')[0][-1] for x in test)
        train = lines(tmp_path / f'train_fold_{fold}.txt')
        assert sorted(test + train) == lines(tmp_path / 'videos.txt')
        # Hyperparameters are chosen without the fold's test videos.
        chosen = [
            *lines(tmp_path / f'choice_train_fold_{fold}.txt'),
            *lines(tmp_path / f'choice_test_fold_{fold}.txt'),
        ]
        assert sorted(chosen) == train
        tested += test
    assert sorted(tested) == lines(tmp_path / 'videos.txt')

import json
import os
import signal
import subprocess
import sys
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_files import write_dataset, write_video

from vll_mmaction.video_io import frame_index
from vll_mmaction.video_io.frame_index import (
    FrameIndex,
    VideoEntry,
    load_or_build,
)


@pytest.fixture
def videos(tmp_path):
    write_dataset(tmp_path, [5, 40, 17])
    return [str(tmp_path / 'videos' / f'{k}.avi') for k in range(3)]


def build(videos, tmp_path):
    folder = str(tmp_path / 'videos')
    return load_or_build(videos, f'{folder}/frame_index.jsonl', folder)


def test_counts_are_kept_and_paths_are_relative(videos, tmp_path, monkeypatch):
    index = build(videos, tmp_path)
    assert [index[v].frames for v in videos] == [5, 40, 17]
    lines = (tmp_path / 'videos/frame_index.jsonl').read_text().splitlines()
    assert json.loads(lines[1])[0] == '0.avi'
    monkeypatch.setattr(frame_index, 'count_frames', None)  # not called again
    again = build(videos, tmp_path)
    assert [again[v] for v in videos] == [index[v] for v in videos]
    # An index moves with its videos.
    os.rename(tmp_path / 'videos', tmp_path / 'moved')
    moved = [v.replace('/videos/', '/moved/') for v in videos]
    folder = str(tmp_path / 'moved')
    index = load_or_build(moved, f'{folder}/frame_index.jsonl', folder)
    assert index[moved[1]].frames == 40


def test_only_changed_videos_are_counted_again(videos, tmp_path, monkeypatch):
    build(videos, tmp_path)
    write_video(videos[1], 23)
    counted = []
    original = frame_index.count_frames

    def spy(todo, *args, **kwargs):
        counted.extend(todo)
        return original(todo, *args, **kwargs)

    monkeypatch.setattr(frame_index, 'count_frames', spy)
    index = build(videos, tmp_path)
    assert counted == [videos[1]]
    assert [index[v].frames for v in videos] == [5, 23, 17]


def test_bad_files_get_a_reason(videos, tmp_path):
    folder = tmp_path / 'videos'
    (folder / 'empty.avi').write_bytes(b'')
    (folder / 'text.avi').write_text('not a video\n' * 100)
    (folder / 'folder.avi').mkdir()
    whole = (folder / '1.avi').read_bytes()
    (folder / 'head.avi').write_bytes(whole[:200])
    names = ['empty', 'text', 'folder', 'head', 'absent']
    bad = [str(folder / f'{name}.avi') for name in names]
    index = build(videos + bad, tmp_path)
    assert [index[v].frames for v in videos] == [5, 40, 17]
    assert [index[v].frames for v in bad] == [0] * 5
    assert index[bad[0]].reason == 'the file is empty'
    assert 'cannot be opened' in index[bad[1]].reason
    assert index[bad[4]].reason == 'there is no such file'


def test_a_truncated_video_has_the_frames_that_are_left(videos, tmp_path):
    whole = open(write_video(videos[1], 40, fourcc='XVID'), 'rb').read()
    cut = tmp_path / 'videos' / 'cut.avi'
    cut.write_bytes(whole[: len(whole) // 2])
    index = build([str(cut)], tmp_path)
    assert 5 < index[str(cut)].frames < 40


class CrashOrHang(frame_index._Prober):
    """Stands in for a decoder that crashes or hangs on some files."""

    def ask(self, question, video, seconds):
        super().ask(question, video, seconds)
        if os.path.basename(video) == 'crash':
            os.kill(self.process.pid, signal.SIGSEGV)
        if os.path.basename(video) == 'hang':
            os.kill(self.process.pid, signal.SIGSTOP)


def test_a_decoder_that_crashes_or_hangs_costs_one_video(videos, tmp_path):
    bad = [str(tmp_path / 'videos' / name) for name in ('crash', 'hang')]
    for path in bad:
        write_video(f'{path}.avi', 3)
        os.rename(f'{path}.avi', path)
    found = dict(
        frame_index.count_frames(
            [bad[0], videos[0], bad[1], *videos[1:]],
            num_workers=2,
            seconds=5,
            start_prober=CrashOrHang,
        )
    )
    assert [found[v].frames for v in videos] == [5, 40, 17]
    assert found[bad[0]].reason == 'the decoder crashed on it (signal 11)'
    assert found[bad[1]].reason == 'the decoder hung on it (5 s)'


def test_a_file_that_is_no_index_is_never_overwritten(videos, tmp_path):
    for content in ('0.avi 1\n', '{"format": "other"}\n', ''):
        path = tmp_path / 'list.txt'
        path.write_text(content)
        with pytest.raises(ValueError, match='list.txt is not a frame index'):
            load_or_build(videos, str(path))
        assert path.read_text() == content
    path.write_text('{"format": "vll_mmaction frame index", "version": 9}\n')
    with pytest.raises(ValueError, match='version 9, this is version 2'):
        FrameIndex(str(path))


def test_another_rank_waits_for_the_file(videos, tmp_path, monkeypatch):
    folder = str(tmp_path / 'videos')
    code = (
        'import sys, time; time.sleep(2)\n'
        'from vll_mmaction.video_io.frame_index import load_or_build\n'
        'load_or_build(sys.argv[3:], sys.argv[1], sys.argv[2])\n'
    )
    path = f'{folder}/frame_index.jsonl'
    env = dict(os.environ, LOCAL_RANK='0')
    builder = subprocess.Popen(
        [sys.executable, '-c', code, path, folder, *videos], env=env
    )
    monkeypatch.setenv('LOCAL_RANK', '1')
    monkeypatch.setattr(frame_index, 'count_frames', None)
    index = load_or_build(videos, path, folder)
    assert builder.wait() == 0
    assert [index[v].frames for v in videos] == [5, 40, 17]


def test_another_rank_goes_on_if_a_video_changes_later(
    videos, tmp_path, monkeypatch
):
    build(videos, tmp_path)
    os.remove(videos[0])
    write_video(videos[1], 23)
    monkeypatch.setenv('LOCAL_RANK', '1')
    monkeypatch.setattr(frame_index, 'QUIET_SECONDS', 1)
    index = build(videos, tmp_path)
    assert [index[v].frames for v in videos] == [5, 40, 17]


def test_never_built_in_a_worker(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(frame_index, 'get_worker_info', lambda: object())
    with pytest.raises(RuntimeError, match='never built in a data loader'):
        build(videos, tmp_path)


def test_default_place(tmp_path, monkeypatch):
    folder = tmp_path / 'videos'
    folder.mkdir()
    place = frame_index.default_index_path
    assert place(str(folder), 'ann.txt') == f'{folder}/frame_index.jsonl'
    ann_file = str(tmp_path / 'ann.txt')
    assert place('', ann_file) == f'{ann_file}.frame_index.jsonl'
    # Root may write anywhere, so the read-only folder is pretended.
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    cached = place(str(folder), ann_file)
    assert cached.startswith(str(tmp_path / 'cache' / 'vll_mmaction'))
    assert cached == place(str(folder), 'other.txt')


# --- properties of any names and counts -----------------------------

# Bytes of a name that are no UTF-8 come as lone surrogates.
NAMES = st.text(
    st.characters(exclude_categories=['Cs'], exclude_characters='/\0')
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
    min_size=1,
    max_size=8,
).filter(lambda name: name.strip('.'))
ENTRIES = st.builds(
    VideoEntry,
    stamp=st.just((-1, -1)),  # that of files which are not there
    frames=st.integers(0, 2**40),
    reason=st.text(max_size=8),
)


@given(st.dictionaries(NAMES, ENTRIES, max_size=6), st.randoms())
def test_any_names_are_kept(entries, random):
    order = random.sample(sorted(entries), len(entries))
    counted = []

    def count(videos):
        counted.extend(videos)
        return ((v, entries[os.path.basename(v)]) for v in videos)

    with tempfile.TemporaryDirectory() as root:
        path = f'{root}/frame_index.jsonl'
        videos = [f'{root}/{name}' for name in order]
        load_or_build(videos + videos, path, root, count)
        assert counted == videos  # each once, in order
        index = load_or_build(videos[::-1], path, root, None)
        assert {v: index[v] for v in videos} == {
            v: entries[os.path.basename(v)] for v in videos
        }
        # An index moves with its videos.
        moved = FrameIndex(path, '/elsewhere')
        assert all(f'/elsewhere/{name}' in moved for name in entries)


def test_index_of_another_data_set_is_refused(videos, tmp_path):
    build(videos, tmp_path)
    index = FrameIndex(
        str(tmp_path / 'videos/frame_index.jsonl'), str(tmp_path / 'videos')
    )
    # Others of the same folder share its index.
    index.check_videos([str(tmp_path / 'videos/new.avi')])
    index = FrameIndex(index.path, str(tmp_path / 'other'))
    index.check_videos([str(tmp_path / 'other/1.avi')])
    index.check_videos(['s3://bucket/1.avi', str(tmp_path / 'other/1.avi')])
    with pytest.raises(ValueError, match='such as 0.avi.*none of the'):
        index.check_videos([str(tmp_path / 'other/new.avi')])

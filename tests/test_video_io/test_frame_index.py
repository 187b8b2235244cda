import json
import multiprocessing
import os
import pickle
import signal
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_files import write_dataset, write_video

from vll_mmaction.video_io import (
    counting,
    frame_index,
    index_store,
    prober,
)
from vll_mmaction.video_io.columns import TextColumn
from vll_mmaction.video_io.frame_index import FrameIndex, load_or_build
from vll_mmaction.video_io.video_facts import VideoFacts


@pytest.fixture
def videos(tmp_path):
    write_dataset(tmp_path, [5, 40, 17])
    return [str(tmp_path / 'videos' / f'{k}.avi') for k in range(3)]


def build(videos, tmp_path, **needs):
    folder = str(tmp_path / 'videos')
    return load_or_build(videos, f'{folder}/frame_index', folder, **needs)


@pytest.fixture
def counted(monkeypatch):
    """Videos that are counted."""
    counted = []
    original = counting.count_frames

    def spy(todo, *args, **kwargs):
        def noted():
            for video in todo:
                counted.append(video)
                yield video

        return original(noted(), *args, **kwargs)

    monkeypatch.setattr(counting, 'count_frames', spy)
    return counted


def test_counts_are_kept_and_paths_are_relative(videos, tmp_path, counted):
    index = build(videos, tmp_path)
    assert [index[v].frames for v in videos] == [5, 40, 17]
    assert sorted(index.store.added.names) == ['0.avi', '1.avi', '2.avi']
    assert sorted(counted) == videos
    again = build(videos, tmp_path)
    assert [again[v] for v in videos] == [index[v] for v in videos]
    assert len(counted) == 3
    # An index moves with its videos.
    os.rename(tmp_path / 'videos', tmp_path / 'moved')
    moved = [v.replace('/videos/', '/moved/') for v in videos]
    folder = str(tmp_path / 'moved')
    index = load_or_build(moved, f'{folder}/frame_index', folder)
    assert index[moved[1]].frames == 40 and len(counted) == 3


def test_only_changed_videos_are_counted_again(videos, tmp_path, counted):
    build(videos, tmp_path)
    write_video(videos[1], 23)
    index = build(videos, tmp_path, check_files=False)
    assert [index[v].frames for v in videos] == [5, 40, 17]
    del counted[:]
    index = build(videos, tmp_path)
    assert counted == [videos[1]]
    assert [index[v].frames for v in videos] == [5, 23, 17]


@pytest.mark.parametrize('missing', [b'none.avi', b'null\0.avi', None])
def test_stamps_of_many_files(missing, tmp_path, monkeypatch):
    paths = [os.fsencode(tmp_path / f'{number}.avi') for number in range(2500)]
    for number, path in enumerate(paths):
        with open(path, 'wb') as file:
            file.write(b'x' * (number % 7))
    if missing:
        paths[1200] = missing
    else:  # of a mode that leaves open who may read it
        os.chmod(paths[1200], 0o200)
        monkeypatch.setattr(os, 'access', lambda *_: False)
    stamps = prober.file_stamps(paths)
    expected = [
        (os.stat(p).st_size, os.stat(p).st_mtime_ns) for p in paths[:1200]
    ]
    assert stamps[:1200].tolist() == list(map(list, expected))
    assert stamps.tolist() == [list(prober.file_stamp(path)) for path in paths]
    assert stamps[1200].tolist() == [-1, -1] and len(stamps) == 2500
    assert prober.file_stamps([]).shape == (0, 2)


def test_an_index_of_earlier_versions_is_taken_over(
    videos, tmp_path, counted, monkeypatch
):
    stamp = prober.file_stamp(videos[0])
    other = prober.file_stamp(videos[2])
    lines = [
        {'format': 'vll_mmaction frame index', 'version': 1},
        ['0.avi', *stamp, 123, ''],
        ['1.avi', 7, 7, 8, ''],
        ['2.avi', *other, 0, 'decord has no decoder', [[0, 0, 0.0, 0]]],
    ]
    path = tmp_path / 'videos/frame_index.jsonl'
    path.write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
    # Named with or without its ending.
    index = load_or_build(videos, str(path), str(tmp_path / 'videos'))
    # What has changed, and what could not be read then, is counted now.
    assert [index[v].frames for v in videos] == [123, 40, 17]
    assert sorted(counted) == videos[1:]
    with monkeypatch.context() as patch:
        patch.setattr(index_store, 'MANY_ROWS', 1)
        build(videos, tmp_path)
    assert (tmp_path / 'videos/frame_index/base.0').exists()
    index = build(videos, tmp_path)
    assert len(index.store.added) == 0
    assert [index[v].frames for v in videos] == [123, 40, 17]
    # It does not hold what else there is to know of a video.
    index = build(videos, tmp_path, all_facts=True)
    assert index[videos[0]].frames == 5
    assert index[videos[0]].pixel_format == 'yuvj420p'
    assert sorted(counted) == [videos[0], *videos[1:]]
    assert json.loads(path.read_text().splitlines()[1]) == lines[1]


def test_counts_of_packets_are_for_those_who_want_them(
    videos, tmp_path, counted
):
    index = build(videos, tmp_path, count='packets')
    assert [index[v].frames for v in videos] == [5, 40, 17]
    build(videos, tmp_path, count='packets')
    assert len(counted) == 3
    build(videos, tmp_path)
    assert len(counted) == 6
    # Decoding is better.
    build(videos, tmp_path, count='packets')
    assert len(counted) == 6


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


def test_a_video_that_ends_within_a_frame_is_refused(videos, tmp_path):
    whole = open(write_video(videos[1], 40, fourcc='XVID'), 'rb').read()
    cut = tmp_path / 'videos' / 'cut.avi'
    cut.write_bytes(whole[: len(whole) // 2])
    index = build([str(cut)], tmp_path)
    assert 'cannot be decoded to the end' in index[str(cut)].reason


class CrashOrHang(prober.Prober):
    """Stands in for a decoder that crashes or hangs on some files."""

    def _ask(self, video, count):
        if os.path.basename(video) == 'crash':
            os.kill(self.process.pid, signal.SIGSEGV)
        if os.path.basename(video) == 'hang':
            os.kill(self.process.pid, signal.SIGSTOP)
        return super()._ask(video, count)


def test_a_decoder_that_crashes_or_hangs_costs_one_video(videos, tmp_path):
    bad = [str(tmp_path / 'videos' / name) for name in ('crash', 'hang')]
    for path in bad:
        write_video(f'{path}.avi', 3)
        os.rename(f'{path}.avi', path)
    asked = prober.count_frames(
        [bad[0], videos[0], bad[1], *videos[1:]],
        num_workers=2,
        seconds=5,
        start_prober=CrashOrHang,
    )
    found = {video: facts for video, _, facts in asked}
    assert [found[v].frames for v in videos] == [5, 40, 17]
    assert found[bad[0]].reason == 'the decoder crashed on it (signal 11)'
    assert found[bad[1]].reason == 'the decoder hung on it (5 s)'


def test_an_error_that_is_not_the_files_is_told(tmp_path, monkeypatch):
    """Such as a PyAV that takes other arguments."""
    (tmp_path / 'sitecustomize.py').write_text('import av\ndel av.open\n')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    own = prober.Prober()
    facts = own.probe(write_video(tmp_path / '1.avi', 3), 'decode', 60)
    own.stop()
    assert (
        facts.reason == "AttributeError: module 'av' has no attribute 'open'"
    )


def test_whoever_stops_counting_leaves_no_process(videos, tmp_path):
    started = []

    def start():
        started.append(prober.Prober())
        return started[-1]

    asked = prober.count_frames(videos * 9, num_workers=2, start_prober=start)
    next(asked)
    asked.close()
    assert started and all(p.process.poll() is not None for p in started)

    def fail():
        raise OSError('no more processes')

    with pytest.raises(OSError, match='no more processes'):
        list(prober.count_frames(videos, start_prober=fail))


def test_a_counter_is_kept_and_started_again(videos, tmp_path, monkeypatch):
    counter = pickle.loads(pickle.dumps(prober.FrameCounter()))
    assert [counter(v).frames for v in videos] == [5, 40, 17]
    first = counter._prober
    monkeypatch.setattr(prober, 'Prober', CrashOrHang)
    os.rename(videos[0], tmp_path / 'crash')
    assert counter(str(tmp_path / 'crash')).frames == 5
    counter._prober.process.kill()
    assert 'crashed' in counter(videos[1]).reason
    assert 'crashed' in counter(str(tmp_path / 'crash')).reason
    assert counter(videos[1]).frames == 40 and counter._prober is not first


def test_the_time_limit_grows_with_the_file():
    assert prober.seconds_for((0, 0)) == prober.seconds_for((-1, -1)) == 60
    assert prober.seconds_for((10**9, 0)) == 2060


def test_something_else_is_never_overwritten(videos, tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('0.avi 1\n')
    with pytest.raises(ValueError, match='list.txt is not a frame index'):
        load_or_build(videos, str(path))
    assert path.read_text() == '0.avi 1\n'
    with pytest.raises(ValueError, match='videos is not a frame index, but'):
        load_or_build(videos, str(tmp_path / 'videos'))
    old = tmp_path / 'index.jsonl'
    for content in ('0.avi 1\n', '{"format": "other"}\n', ''):
        old.write_text(content)
        with pytest.raises(ValueError, match='index.jsonl is not a frame in'):
            load_or_build(videos, str(tmp_path / 'index'))
        assert old.read_text() == content
    old.write_text('{"format": "vll_mmaction frame index", "version": 9}\n')
    with pytest.raises(ValueError, match='version 9, this is version 1'):
        FrameIndex(str(old))
    old.unlink()
    (tmp_path / 'index').mkdir()
    (tmp_path / 'index/frame_index.json').write_text(
        '{"format": "vll_mmaction frame index", "version": 9}\n'
    )
    with pytest.raises(ValueError, match='version 9, this is version 2'):
        FrameIndex(str(tmp_path / 'index'))


# ------------------------------------------------- several processes, machines


def rank(number, folder, videos, quiet, answers):
    """A process of two."""
    os.environ.update(RANK=str(number), WORLD_SIZE='2')
    counting.QUIET_SECONDS = quiet
    index = load_or_build(videos, f'{folder}/frame_index', folder)
    answers.put([index[video].frames for video in videos])


def run_ranks(numbers, *args):
    fork = multiprocessing.get_context('fork')
    answers = fork.SimpleQueue()
    ranks = [
        fork.Process(target=rank, args=(number, *args, answers))
        for number in numbers
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
        assert process.exitcode == 0
    return [answers.get() for _ in ranks]


def test_ranks_share_the_work_and_find_the_same(tmp_path):
    lengths = [*range(1, 25)]
    write_dataset(tmp_path, lengths)
    folder = str(tmp_path / 'videos')
    videos = [f'{folder}/{number}.avi' for number in range(len(lengths))]
    assert run_ranks((0, 1), folder, videos, 60) == [lengths] * 2
    # Each counted a share, in a file of its own; whatever remained at the
    # end may have been counted twice.
    files = list((tmp_path / 'videos/frame_index').glob('*.rows.done'))
    rows = [len(file.read_bytes().splitlines()) for file in files]
    assert len(rows) == 2 and min(rows) > 3 and 24 <= sum(rows) < 40


def test_a_rank_that_never_comes_is_not_waited_for(videos, tmp_path):
    folder = str(tmp_path / 'videos')
    assert run_ranks((1,), folder, videos, 0.5) == [[5, 40, 17]]


def test_a_full_disk_ends_the_counting_and_loses_nothing(
    videos, tmp_path, counted, monkeypatch
):
    append = index_store.RowWriter.append

    def fill(self, row):
        if len(counted) > 1 and self._length:
            raise OSError(28, 'No space left on device')
        append(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(index_store.RowWriter, 'append', fill)
        with pytest.raises(OSError, match='No space left'):
            build(videos, tmp_path)
    del counted[:]
    index = build(videos, tmp_path)
    assert [index[v].frames for v in videos] == [5, 40, 17]
    assert len(counted) == 2


def test_never_built_in_a_worker(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(frame_index, 'get_worker_info', lambda: object())
    with pytest.raises(RuntimeError, match='never built in a data loader'):
        build(videos, tmp_path)


def test_default_place(tmp_path, monkeypatch):
    folder = tmp_path / 'videos'
    folder.mkdir()
    place = frame_index.default_index_path
    assert place(str(folder), 'ann.txt') == f'{folder}/frame_index'
    ann_file = str(tmp_path / 'ann.txt')
    assert place('', ann_file) == f'{ann_file}.frame_index'
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
FACTS = st.builds(VideoFacts, frames=st.integers(1, 2**40)) | st.builds(
    VideoFacts, reason=st.text(min_size=1, max_size=8)
)


@given(st.dictionaries(NAMES, FACTS, max_size=6), st.randoms())
def test_any_names_are_kept(entries, random):
    order = random.sample(sorted(entries), len(entries))
    asked = []

    def transform(results):
        name = os.path.basename(results['filename'])
        asked.append(name)
        if entries[name].reason:
            raise KeyError(entries[name].reason)
        return dict(total_frames=entries[name].frames)

    with tempfile.TemporaryDirectory() as root:
        path = f'{root}/frame_index'
        videos = [f'{root}/{name}' for name in order]
        load_or_build(videos + videos, path, root, transform=transform)
        assert sorted(asked) == sorted(entries)  # each once
        index = load_or_build(videos[::-1], path, root, transform=transform)
        assert len(asked) == len(entries)
        for video, name in zip(videos, order):
            assert index[video].frames == entries[name].frames
            assert bool(index[video].reason) == bool(entries[name].reason)
        # An index moves with its videos.
        moved = FrameIndex(path, '/elsewhere')
        assert all(
            moved[f'/elsewhere/{name}'] == index[f'{root}/{name}']
            for name in entries
        )


def test_names_in_the_index_are_those_of_single_paths(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = [
        *('a.avi', '/b/c.avi', 'd/../e.avi', '/f//g.avi', './h.avi', '..'),
        *('/srv/x.avi', 'back\\slash.avi', '/i/.j/../k', '/l/', ''),
    ]
    for root in ('', '/srv', 'relative'):
        index = FrameIndex(str(tmp_path / 'none'), root)
        for some in (names, [*names, 's3://m/n.avi'], names[:2], names[1:2]):
            wanted = [index._key(os.path.join(index._prefix, n)) for n in some]
            assert list(index.keys(TextColumn.of(some))) == wanted
    # On Windows as well.
    monkeypatch.setattr(os, 'sep', '\\')
    index = FrameIndex(str(tmp_path / 'none'), '/srv')
    assert list(index.keys(TextColumn.of(['a\\b.avi']))) == ['a/b.avi']


def test_index_of_another_data_set_is_refused(videos, tmp_path):
    build(videos, tmp_path)

    def check(root, names):
        index = FrameIndex(str(tmp_path / 'videos/frame_index'), str(root))
        index.check_videos(TextColumn.of(names))

    # Others of the same folder share its index.
    check(tmp_path / 'videos', ['new.avi'])
    check(tmp_path / 'other', ['1.avi'])
    check(tmp_path / 'other', ['s3://bucket/1.avi', '1.avi'])
    with pytest.raises(ValueError, match=r'such as \d.avi.*none of the'):
        check(tmp_path / 'other', ['new.avi'])

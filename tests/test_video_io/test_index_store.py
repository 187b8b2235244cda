"""Many processes write an index at once, and are killed at any byte."""

import json
import multiprocessing
import os
import time

import numpy as np
import pytest

from vll_mmaction.video_io import index_store
from vll_mmaction.video_io.columns import TextColumn
from vll_mmaction.video_io.frame_index import FrameIndex
from vll_mmaction.video_io.index_rows import DECODE, IndexColumns, IndexRow
from vll_mmaction.video_io.index_store import IndexStore
from vll_mmaction.video_io.video_facts import KeyPacket, VideoFacts

NAMES = ['a b/ü.avi', 'back\\slash.avi', 'line\nend.avi', '', '\udcff.avi']


def row(name, frames=3, when=1, **facts):
    facts = dict(
        width=64,
        height=48,
        pixel_format='yuv420p',
        keys=(KeyPacket(0, -5, -7), KeyPacket(50, 2**40, 7)),
        decord='decord counts 4 frames for 3',
        **facts,
    )
    return IndexRow(name, 10, 11, when, DECODE, VideoFacts(frames, **facts))


ROWS = [row(name, number) for number, name in enumerate(NAMES)]


def write(folder, rows):
    with IndexStore(str(folder)).writer() as writer:
        for one in rows:
            writer.append(one)


def read(folder, names=NAMES):
    found = IndexStore(str(folder)).find(TextColumn.of(names))
    return [
        found.row(number) if known else None
        for number, known in enumerate(found.known)
    ]


@pytest.fixture
def always(monkeypatch):
    """Make a base of however few rows."""
    monkeypatch.setattr(index_store, 'MANY_ROWS', 1)


def test_rows_come_back_from_files_and_base(tmp_path, always):
    write(tmp_path / 'index', ROWS)
    assert read(tmp_path / 'index') == ROWS
    assert read(tmp_path / 'index', ['other']) == [None]
    IndexStore(str(tmp_path / 'index')).compact()
    assert sorted(os.listdir(tmp_path / 'index')) == [
        'base.0',
        'frame_index.json',
    ]
    assert read(tmp_path / 'index', NAMES[::-1]) == ROWS[::-1]
    # A video that was counted again, and one that is new.
    later = [row(NAMES[2], 99, when=2), row('new', 7)]
    write(tmp_path / 'index', later)
    wanted = [ROWS[0], *later]
    names = [NAMES[0], NAMES[2], 'new']
    assert read(tmp_path / 'index', names) == wanted
    IndexStore(str(tmp_path / 'index')).compact()
    assert read(tmp_path / 'index', names) == wanted
    assert len(IndexStore(str(tmp_path / 'index'))) == len(NAMES) + 1


def test_the_latest_row_holds_whatever_file_it_is_in(tmp_path, always):
    rows = [row('x', frames, when=frames) for frames in (1, 3, 2)]
    for one in rows:
        write(tmp_path / 'index', [one])
    assert read(tmp_path / 'index', ['x']) == [rows[1]]
    IndexStore(str(tmp_path / 'index')).compact()
    write(tmp_path / 'index', [rows[0]])
    assert read(tmp_path / 'index', ['x']) == [rows[1]]


def test_a_complete_text_index_becomes_one_that_opens(tmp_path, always):
    header = {'format': 'vll_mmaction frame index', 'version': 1}
    lines = [header, ['0.avi', 10, 11, 5, ''], ['1.avi', 10, 11, 6, '']]
    path = tmp_path / 'frame_index'
    path.with_suffix('.jsonl').write_text(
        ''.join(f'{json.dumps(line)}\n' for line in lines)
    )
    # Nothing is counted, so that nobody asks for a writer.
    names = TextColumn.of(['0.avi', '1.avi'])
    for _ in range(2):
        index = FrameIndex(str(path), str(tmp_path))
        found = index.complete(names, check_files=False)
        assert found.numbers('frames').tolist() == [5, 6]
        assert sorted(os.listdir(path)) == ['base.0', 'frame_index.json']


def test_a_base_alone_is_an_index(tmp_path, always):
    write(tmp_path / 'index', ROWS)
    IndexStore(str(tmp_path / 'index')).compact()
    os.remove(tmp_path / 'index/frame_index.json')
    assert read(tmp_path / 'index') == ROWS
    write(tmp_path / 'index', [row('new', 7)])
    assert sorted(os.listdir(tmp_path / 'index'))[1] == 'frame_index.json'
    (tmp_path / 'other/base.0').mkdir(parents=True)
    with pytest.raises(ValueError, match='other files'):
        IndexStore(str(tmp_path / 'other'))


def test_another_decoder_is_named_once(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        index_store, 'print_log', lambda text, *a, **k: said.append(text)
    )
    write(tmp_path / 'index', ROWS)
    about = tmp_path / 'index/frame_index.json'
    header = json.loads(about.read_text())
    assert header.pop('libavcodec') == index_store.DECODER
    about.write_text(json.dumps(header))  # as before it was noted
    assert read(tmp_path / 'index') == ROWS
    assert not said
    about.write_text(json.dumps(dict(header, libavcodec=58)))
    for _ in range(2):
        assert read(tmp_path / 'index') == ROWS
    (text,) = said
    assert 'libavcodec 58' in text
    assert 'delete that folder' in text


def test_names_of_one_hash_are_told_apart(tmp_path, monkeypatch, always):
    hashes = TextColumn.hashes

    def collide(self, seed=0):
        return hashes(self, seed) if seed else np.full(len(self), 7, np.uint64)

    monkeypatch.setattr(TextColumn, 'hashes', collide)
    write(tmp_path / 'index', ROWS)
    write(tmp_path / 'index', [row(NAMES[1], 99, when=2)])
    wanted = [ROWS[0], row(NAMES[1], 99, when=2), *ROWS[2:], None]
    assert read(tmp_path / 'index', [*NAMES, 'x']) == wanted
    IndexStore(str(tmp_path / 'index')).compact()
    assert read(tmp_path / 'index', [*NAMES, 'x']) == wanted


def test_killed_at_any_byte(tmp_path):
    write(tmp_path / 'whole', ROWS)
    (file,) = tmp_path.glob('whole/*.rows.done')
    data = file.read_bytes()
    ends = [n + 1 for n in range(len(data)) if data[n : n + 1] == b'\n']
    assert len(ends) == len(ROWS)
    for length in range(len(data)):
        (tmp_path / 'whole' / 'one.rows').write_bytes(data[:length])
        file.unlink(missing_ok=True)
        whole = sum(end <= length for end in ends)
        wanted = ROWS[:whole] + [None] * (len(ROWS) - whole)
        assert read(tmp_path / 'whole') == wanted
    # Whatever byte is spoilt, the other rows are right.
    for place in range(0, len(data), 7):
        spoilt = bytearray(data)
        spoilt[place] ^= 64
        (tmp_path / 'whole' / 'one.rows').write_bytes(spoilt)
        hit = sum(end <= place for end in ends)
        found = read(tmp_path / 'whole')
        assert found[:hit] == ROWS[:hit] and found[hit] is None


def test_what_is_appended_is_seen(tmp_path):
    write(tmp_path / 'index', [])
    reader = IndexStore(str(tmp_path / 'index'))
    writer = IndexStore(str(tmp_path / 'index')).writer()
    for number, one in enumerate(ROWS):
        writer.append(one)
        assert list(reader.refresh()) == [one.name]
        assert len(reader) == number + 1
    writer.close()
    assert list(reader.refresh()) == []
    assert reader.find(TextColumn.of(NAMES)).known.all()


def test_a_full_disk_costs_the_row_that_did_not_fit(tmp_path, monkeypatch):
    store = IndexStore(str(tmp_path / 'index'))
    writer = store.writer()
    writer.append(ROWS[0])

    class Full:
        """A file on a disk with room for ten bytes."""

        def __init__(self, file):
            self.file = file

        def write(self, line):
            self.file.write(line[:10])
            raise OSError(28, 'No space left on device')

        def __getattr__(self, name):
            return getattr(self.file, name)

    file, writer._file = writer._file, Full(writer._file)
    with pytest.raises(OSError, match='No space left'):
        writer.append(ROWS[1])
    assert read(tmp_path / 'index')[:2] == [ROWS[0], None]
    writer._file = file
    writer.append(ROWS[2])
    writer.close()
    assert read(tmp_path / 'index')[:3] == [ROWS[0], None, ROWS[2]]


def write_for_ever(folder, number, done):
    """A process that writes, makes bases, and is killed while it writes."""
    for part in range(4):
        names = (f'{number} {part} {k}' for k in range(25))
        with IndexStore(folder).writer() as writer:
            for k, name in enumerate(names):
                writer.append(row(name, k, time.time_ns()))
        IndexStore(folder).compact()
    done.put(number)
    with IndexStore(folder).writer() as writer:
        while True:
            writer.append(row(f'both {time.time_ns() % 97}'))
            time.sleep(0.001)


def test_processes_that_write_and_compact_at_once(tmp_path, always):
    folder = str(tmp_path / 'index')
    fork = multiprocessing.get_context('fork')
    done = fork.SimpleQueue()
    processes = [
        fork.Process(target=write_for_ever, args=(folder, number, done))
        for number in range(3)
    ]
    for process in processes:
        process.start()
    assert sorted(done.get() for _ in processes) == [0, 1, 2]
    time.sleep(0.2)
    for process in processes:
        process.kill()
        process.join()
    names = [
        f'{number} {part} {k}'
        for number in range(3)
        for part in range(4)
        for k in range(25)
    ]
    found = read(folder, names)
    assert [one and one.facts.frames for one in found] == [*range(25)] * 12
    store = IndexStore(folder)
    assert len(store.base) >= 100
    # Half a line at the ends of those that were killed harms nobody.
    store.compact()
    assert store.find(TextColumn.of(names)).known.all()
    assert not [f for f in os.listdir(folder) if f.endswith('.tmp')]


def test_a_base_waits_for_others_that_may_have_it_mapped(
    tmp_path, always, monkeypatch
):
    write(tmp_path / 'index', ROWS)
    old = IndexStore(str(tmp_path / 'index'))
    old.compact()
    write(tmp_path / 'index', [row('new')])
    IndexStore(str(tmp_path / 'index')).compact()
    assert (tmp_path / 'index' / 'base.0').exists()
    assert old.find(TextColumn.of(NAMES)).known.all()
    assert list(old.refresh()) == []
    assert old.find(TextColumn.of(['new'])).known.all()
    month_ago = time.time() - 31 * 24 * 3600
    os.utime(tmp_path / 'index' / 'base.0', (month_ago, month_ago))
    write(tmp_path / 'index', [row('newer')])
    IndexStore(str(tmp_path / 'index')).compact()
    assert not (tmp_path / 'index' / 'base.0').exists()
    assert read(tmp_path / 'index', ['new', 'newer'])


def test_half_a_base_is_no_base(tmp_path, always, monkeypatch):
    write(tmp_path / 'index', ROWS)

    def fail(*_):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(index_store.os, 'rename', fail)
        with pytest.raises(OSError, match='No space left'):
            IndexStore(str(tmp_path / 'index')).compact()
    assert len(os.listdir(tmp_path / 'index')) == 2
    assert read(tmp_path / 'index') == ROWS


def test_lines_and_columns():
    lines = b''.join(one.to_line() for one in ROWS).splitlines(keepends=True)
    assert [IndexRow.from_line(line) for line in lines] == ROWS
    for line in (b'', b'\n', b'junk\n', lines[0][:-1]):
        assert IndexRow.from_line(line) is None
    columns = IndexColumns.of(iter(ROWS))
    rows = columns.find(TextColumn.of(NAMES))
    assert [columns.row(number) for number in rows] == ROWS

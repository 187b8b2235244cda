import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vll_mmaction.video_io import columns
from vll_mmaction.video_io.columns import Ragged, TextColumn

# With what file names hold that is no UTF-8.
TEXTS = st.lists(
    st.text(
        st.characters(exclude_categories=['Cs'])
        | st.sampled_from('\udcff\udc80'),
        max_size=20,
    ),
    max_size=8,
)


@given(TEXTS, st.data())
def test_texts_come_back(texts, data):
    column = TextColumn.of(texts)
    assert list(column) == texts and len(column) == len(texts)
    numbers = st.integers(0, len(texts) - 1) if texts else st.nothing()
    rows = data.draw(st.lists(numbers))
    taken = column.take(np.array(rows, dtype=np.int64))
    assert list(taken) == [texts[row] for row in rows]
    assert [taken[k] for k in range(len(rows))] == list(taken)
    both = TextColumn.concatenate([column, taken, column])
    assert list(both) == [*texts, *taken, *texts]


@given(TEXTS, TEXTS)
def test_hashes_and_comparisons_are_those_of_strings(some, others):
    one = TextColumn.of([*some, *others])
    texts = list(one)
    for seed in (0, 1):
        hashes = one.hashes(seed).tolist()
        assert len(set(hashes)) == len(set(texts))
        # The same whatever stands around.
        assert [
            TextColumn.of(['x', text]).hashes(seed)[1] for text in texts
        ] == hashes
    for number in range(len(texts)):
        same = one.equal(
            np.full(len(texts), number), one, np.arange(len(texts))
        )
        assert same.tolist() == [texts[number] == text for text in texts]


def test_hashes_are_spread_and_stay():
    names = TextColumn.of(f'class_{k % 7}/v_{k}.avi' for k in range(100_000))
    for seed in (0, 1):
        hashes = names.hashes(seed)
        assert len(np.unique(hashes)) == len(names)
        assert np.bincount((hashes % 16).astype(int)).min() > 6000
    # They stand in files.
    assert TextColumn.of(['', 'a/ü.avi']).hashes().tolist() == [
        0,
        TextColumn.of(['a/ü.avi']).hashes()[0],
    ]
    assert f'{TextColumn.of(["a/ü.avi"]).hashes()[0]:x}' == HASH


HASH = '3f1a32eb651c453'


def test_first_and_last_bytes():
    column = TextColumn.of(['', 'ab', 'c', ''])
    assert column.bytes_at().tolist() == [0, ord('a'), ord('c'), 0]
    assert column.bytes_at(last=True).tolist() == [0, ord('b'), ord('c'), 0]
    assert column.contains(b'bc') and not column.contains(b'ba')


def test_rows_of_numbers(monkeypatch):
    monkeypatch.setattr(columns, 'CHUNK', 2)
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 5, 50)
    ends = np.cumsum(lengths)
    values = rng.integers(0, 99, (ends[-1], 3))
    ragged = Ragged(values, ends - lengths, ends)
    rows = rng.integers(0, 50, 30)
    taken = ragged.take(rows)
    for number, row in enumerate(rows):
        np.testing.assert_array_equal(taken.row(number), ragged.row(row))
    assert len(taken.values) == lengths[rows].sum()


def test_files_are_mapped(tmp_path):
    kinds = dict(names=TextColumn, numbers=np.ndarray, none=np.ndarray)
    written = dict(
        names=TextColumn.of(['one', '', 'drei']),
        numbers=np.arange(100_000),
        none=np.zeros((0, 3)),
    )
    columns.save_columns(str(tmp_path / 'new'), written)
    found = columns.map_columns(str(tmp_path / 'new'), kinds)
    assert list(found['names']) == ['one', '', 'drei']
    np.testing.assert_array_equal(found['numbers'], np.arange(100_000))
    assert isinstance(found['numbers'].base, np.memmap)
    assert found['none'].shape == (0, 3)
    with pytest.raises(ValueError, match='read-only'):
        found['numbers'][0] = 1

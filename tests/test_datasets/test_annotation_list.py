import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vll_mmaction.datasets import annotation_list
from vll_mmaction.datasets.annotation_list import (
    read_annotation_list,
    report_bad_videos,
)

PIECES = st.sampled_from(
    [*'a/9 0,\t-_+', '12', ' 3', ',4', '\u00a0', '\u3000', 'ü', '٣', '\ufeff']
    + ['x' * 9, '300', '1234567890', '\x1c', '.avi 1', '.avi 0 1', '\\']
)
TEXTS = st.lists(st.lists(PIECES, max_size=6).map(''.join), max_size=6).map(
    '\n'.join
)


def read(path, **kwargs):
    try:
        listed = read_annotation_list(str(path), **kwargs)
    except ValueError as error:
        return str(error)
    return (
        list(listed.names),
        listed.labels.tolist(),
        listed.lines.tolist(),
        {key: column.tolist() for key, column in listed.numbers.items()},
    )


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return tmp_path_factory.mktemp('list') / 'ann.txt'


@given(
    TEXTS,
    st.sampled_from([' ', ',', '\t', ', ', None, '9']),
    st.sampled_from([(), ('total_frames',), ('offset', 'total_frames')]),
    st.sampled_from([None, 5]),
    st.booleans(),
)
def test_all_at_once_or_line_by_line(
    path, text, delimiter, numbers, classes, labelled
):
    path.write_text(text, encoding='utf-8', newline='')
    options = dict(delimiter=delimiter, numbers=numbers, num_classes=classes)
    found = read(path, **options)
    with pytest.MonkeyPatch.context() as patch:
        original = annotation_list._parse_plain

        def none(*args):
            plain, *others = original(*args)
            return np.zeros_like(plain), *others

        patch.setattr(annotation_list, '_parse_plain', none)
        assert read(path, **options) == found


@pytest.mark.parametrize('delimiter', [' ', ',', '\t'])
def test_most_lines_need_no_second_look(path, monkeypatch, delimiter):
    names = [f'class {k % 7}/v_{k}.avi' for k in range(99)]
    lines = [f'{n}{delimiter}{k % 7}' for k, n in enumerate(names)]
    path.write_text('\r\n'.join(lines))
    monkeypatch.setattr(annotation_list, '_parse_line', None)
    listed = read_annotation_list(str(path), 7, delimiter)
    assert list(listed.names) == names and len(listed) == 99
    assert listed.labels.tolist() == [k % 7 for k in range(99)]
    assert listed.lines.tolist() == [*range(1, 100)]
    path.write_text('a 1 20 300\n\nb b 4 5 6\n')
    listed = read_annotation_list(str(path), numbers=('offset', 'frames'))
    assert list(listed.names) == ['a', 'b b']
    assert listed.numbers['offset'].tolist() == [1, 4]
    assert listed.numbers['frames'].tolist() == [20, 5]
    assert listed.labels.tolist() == [300, 6]
    assert listed.lines.tolist() == [1, 3]


def test_no_bad_videos_are_nothing_to_report(capsys):
    report_bad_videos([], 3, 0)
    assert capsys.readouterr().out == ''
    with pytest.raises(ValueError, match='1 of 1 videos cannot be used'):
        report_bad_videos(['x: broken'], 1, 1)

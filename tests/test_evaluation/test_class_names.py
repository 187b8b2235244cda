"""Names of classes from text files."""

import pytest

from vll_mmaction.evaluation.class_names import (
    find_class_names,
    read_class_names,
)


def test_names_are_found_where_their_number_fits(tmp_path):
    assert find_class_names(tmp_path, 2) == []
    (tmp_path / 'classes.txt').write_text('ä\nb c \n\n', encoding='utf-8')
    assert find_class_names(tmp_path, 2) == ['ä', 'b c']
    assert find_class_names(tmp_path, 3) == []
    (tmp_path / 'label_map.txt').write_text('d\ne\n')
    assert find_class_names(tmp_path, 2) == ['d', 'e']
    (tmp_path / 'label_map.txt').write_bytes(b'\xff\xfe')
    assert find_class_names(tmp_path, 2) == ['ä', 'b c']


def test_files_that_are_none_of_names(tmp_path):
    file = tmp_path / 'names.txt'
    file.write_text('a\n\nb\n')
    with pytest.raises(ValueError, match='names.txt, line 2 is empty'):
        read_class_names(file)
    file.write_bytes(b'\xff\xfe')
    with pytest.raises(ValueError, match='names.txt is no text in UTF-8'):
        read_class_names(file)

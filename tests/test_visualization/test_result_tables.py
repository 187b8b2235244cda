"""The report's numbers as CSV, read back."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from clip_results import make_results

from vll_mmaction.visualization.result_tables import make_tables, write_tables
from vll_mmaction.visualization.vote_summary import VideoVotes

SCORES = [
    [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0]],
    [[0.3, 0.6, 0.1]],
]


@pytest.fixture
def votes():
    """Two videos of class 0, of 3 clips and of 1; 'c, "c"' has none."""
    return VideoVotes(
        make_results(
            SCORES,
            [0, 0],
            filenames=['x/ä.avi', 'x/\udcff.avi'],
            class_names=['a', 'b', 'c, "c"'],
        )
    )


def read(file):
    with open(file, encoding='utf-8', newline='') as lines:
        return list(csv.DictReader(lines))


def test_one_model(votes, tmp_path):
    tables = make_tables({'': votes})
    write_tables(tables, tmp_path)
    assert list(tables) == ['videos.csv', 'classes.csv', 'confusion.csv']
    first, second = read(tmp_path / 'videos.csv')
    assert first == {
        'file': 'x/ä.avi',
        'label': '0',
        'class': 'a',
        'prediction': '0',
        'predicted_class': 'a',
        'votes': '2',
        'clips': '3',
        'mean_probability': '0.566667',
        'label_probability': '0.566667',
    }
    assert second['file'] == 'x/\\udcff.avi'
    assert second['predicted_class'] == 'b'
    assert second['mean_probability'] == '0.6'
    assert second['label_probability'] == '0.3'
    a, b, c = read(tmp_path / 'classes.csv')
    assert a == {
        'label': '0',
        'name': 'a',
        'videos': '2',
        'accuracy': '0.5',
        'clip_accuracy': '0.5',
        'agreement': '0.833333',
    }
    assert (c['name'], c['videos'], c['accuracy']) == ('c, "c"', '0', 'nan')
    rows = read(tmp_path / 'confusion.csv')
    assert rows[0] == {'true class': 'a', 'a': '1', 'b': '1', 'c, "c"': '0'}
    assert [row['true class'] for row in rows] == ['a', 'b', 'c, "c"']


def test_without_labels_predictions_are_all_there_is(votes, tmp_path):
    results = replace(votes.results, labels=np.full(2, -1))
    (tmp_path / 'confusion_A.csv').touch()
    write_tables(make_tables({'': VideoVotes(results)}), tmp_path)
    assert [x.name for x in tmp_path.iterdir()] == ['videos.csv']
    assert read(tmp_path / 'videos.csv')[0] == {
        'file': 'x/ä.avi',
        'prediction': '0',
        'predicted_class': 'a',
        'votes': '2',
        'clips': '3',
        'mean_probability': '0.566667',
    }


def test_two_models_stand_side_by_side(votes, tmp_path):
    tables = make_tables({'A': votes, 'B': votes})
    write_tables(tables, tmp_path)
    assert list(tables)[2:] == ['confusion_A.csv', 'confusion_B.csv']
    row = read(tmp_path / 'videos.csv')[0]
    assert row['votes_A'] == row['votes_B'] == '2'
    assert list(row)[:3] == ['file', 'label', 'class']
    row = read(tmp_path / 'classes.csv')[0]
    assert list(row)[:4] == ['label', 'name', 'videos', 'accuracy_A']
    assert 'agreement_B' in row

"""Pictures of votes: what they show, and what they refuse."""

import numpy as np
import pytest
from clip_results import make_results, voting
from matplotlib.colors import to_hex

from vll_mmaction.visualization import (
    draw_top_classes,
    draw_votes,
    find_video,
)
from vll_mmaction.visualization.vote_plots import TRUE_COLOUR, shorten


def results(votes, labels, filenames, num_classes=8, names=()):
    """Clips that vote as told, with probability 0.65."""
    names = np.array(names, dtype=np.str_)
    videos = [voting(x, num_classes) for x in votes]
    return make_results(videos, labels, filenames=filenames, class_names=names)


FILES = ['data/a/one.avi', 'data/b/one.avi', 'data/b/two.v2.avi']


@pytest.fixture
def clip_level():
    votes = [[0, 0, 1, 5], [3], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 7]]
    return results(votes, [5, 3, 7], FILES)


@pytest.fixture
def video_level():
    return results([[5, 5, 5, 0], [3], [7] * 11], [5, 3, 7], FILES)


def bars(axis):
    """Class, length and whether it is red, from top to bottom."""
    names = [label.get_text() for label in axis.get_yticklabels()]
    patches = sorted(axis.patches, key=lambda patch: patch.get_y())
    return [
        (
            name,
            round(float(patch.get_width()), 3),
            to_hex(patch.get_facecolor()) == TRUE_COLOUR,
        )
        for name, patch in zip(names, patches)
    ]


def test_find_video(clip_level):
    assert find_video(clip_level, 'two.v2') == 2
    assert find_video(clip_level, 'two.v2.avi') == 2
    assert find_video(clip_level, 'b/one') == 1
    with pytest.raises(ValueError, match='2 videos'):
        find_video(clip_level, 'one')
    with pytest.raises(ValueError, match="no video 'ne'"):
        find_video(clip_level, 'ne')


def test_votes(clip_level, video_level):
    models = {'clip': clip_level, 'video': video_level}
    figure = draw_votes(models, ['a/one', 'two.v2'])
    one_clip, one_video, two_clip, two_video = figure.axes
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ['clip', 'video'] * 2
    assert bars(one_clip) == [
        ('class 0', 2, False),
        ('class 1', 1, False),
        ('class 5', 1, True),
    ]
    assert bars(one_video) == [('class 5', 3, True), ('class 0', 1, False)]
    # Six classes got votes: the ground truth takes the last place.
    assert bars(two_clip)[3:] == [('class 3', 2, False), ('class 7', 1, True)]
    assert two_clip.get_xlabel() == '11 clips; 2 for 1 other classes'
    assert bars(two_video) == [('class 7', 11, True)]


def test_ground_truth_without_votes_is_not_red():
    figure = draw_votes({'x': results([[1, 1]], [0], ['v.avi'])}, ['v'])
    assert bars(figure.axes[0]) == [('class 1', 2, False)]


def test_top_classes(clip_level, video_level):
    models = {'clip': clip_level, 'video': video_level}
    figure = draw_top_classes(models, ['a/one'])
    one_clip, one_video = figure.axes
    assert [bar[0] for bar in bars(one_clip)][:3] == [
        'class 0',
        'class 1',
        'class 5',
    ]
    assert bars(one_clip)[0] == ('class 0', 0.35, False)
    assert bars(one_video)[0] == ('class 5', 0.5, True)
    assert len(bars(one_video)) == 5


def test_fewer_classes_than_five(tmp_path):
    some = results([[0, 1]], [1], ['v.avi'], num_classes=2, names=['a', 'b'])
    figure = draw_top_classes({'x': some}, ['v'])
    assert [bar[0] for bar in bars(figure.axes[0])] == ['a', 'b']
    draw_votes({'x': some}, ['v']).savefig(tmp_path / 'x.png')


def test_models_must_agree_on_the_label(clip_level):
    other = results([[0], [3], [7]], [4, 3, 7], FILES)
    with pytest.raises(ValueError, match='other labels'):
        draw_votes({'a': clip_level, 'b': other}, ['a/one'])


def test_names_that_cannot_be_shown(tmp_path):
    assert shorten('a\x1b[31m\n\udcff ü') == 'a�[31m�� ü'
    assert shorten('x' * 23) == 'x' * 21 + '…'
    names = ['$\\frac$', '日本 \udcff']
    some = results([[0, 1]], [1], ['v.avi'], num_classes=2, names=names)
    figure = draw_votes({'$x_1': some}, ['v'])
    figure.draw_without_rendering()  # `$` is no mathematics
    assert bars(figure.axes[0])[0] == ('$\\frac$', 1, False)

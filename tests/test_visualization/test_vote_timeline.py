"""What is shown of one video's votes over time."""

import matplotlib as mpl
import numpy as np
import pytest
from clip_results import make_results, voting
from matplotlib.colors import to_hex

from vll_mmaction.visualization.vote_timeline import (
    COLOURS,
    DEPTH,
    OTHER_COLOUR,
    WEIGHT_COLOUR,
    VideoVote,
    VoteFrames,
    draw_timeline,
    time_text,
)


def vote_of(
    votes,
    starts=None,
    clip_len=4,
    total=None,
    views=1,
    names=(),
    classes=8,
    weights=(),
):
    """A video whose views vote as told, with probability 0.65."""
    clips = len(votes) // views
    starts = np.arange(clips) * clip_len if starts is None else starts
    frames = np.array(starts)[:, None] + np.arange(clip_len)
    results = make_results(
        [voting(votes, classes)],
        [-1],
        [frames.ravel()],
        filenames=['/some/$\\where$/[a]\n.avi'],
        total_frames=[total or frames.max() + 1],
        views_per_clip=[views],
        class_names=np.array(names, dtype=np.str_),
        clip_weights=np.array(weights, np.float32),
    )
    return VideoVote(results, fps=10)


def test_the_best_classes_come_first():
    vote = vote_of([7, 7, 7, 2, 2, 0, 1, 3, 4, 5])
    assert vote.top.tolist() == [7, 2, 0, 1, 3]
    assert vote.votes.tolist() == [3, 2, 1, 1, 1]
    assert vote.choice.tolist() == [0, 0, 0, 1, 1, 2, 3, 4, 5, 5]
    assert vote.names[0] == 'class 7'
    assert str(vote) == 'class 7: 3 of 10 clips'
    assert 'class 4 0.65' in vote.describe(8)  # not among the best
    assert str(vote_of([1])) == 'class 1: 1 of 1 clip'


def test_crops_vote_and_are_shown_as_one_clip():
    vote = vote_of([3, 3, 1, 1, 1, 2], views=3)
    assert str(vote) == 'class 1: 3 of 6 views'
    assert vote.clip_scores.shape == (2, 8)
    assert vote.top[vote.choice].tolist() == [3, 1]


def test_frames_and_their_clips():
    # The second overlaps the first, then a gap, then a tail.
    vote = vote_of([0, 1, 2], starts=[0, 2, 8], total=14)
    clips = [vote.clip_of(k) for k in range(14)]
    assert clips == [0] * 2 + [1] * 4 + [None] * 2 + [2] * 4 + [None] * 2


def test_times():
    texts = [time_text(x) for x in (0, 59.94, 61, 3599, 3661)]
    assert texts == ['0.0 s', '59.9 s', '1:01', '59:59', '1:01:01']


def heights(axis, time):
    """Colour and height of each step curve at a time."""
    found = {}
    for patch in axis.patches:
        values, edges, _ = patch.get_data()
        found[to_hex(patch.get_facecolor())] = values[
            np.searchsorted(edges, time, side='right') - 1
        ]
    return found


def test_a_clip_is_a_bar_of_its_class_colour():
    names = ['$\\frac$', 'b', *'cdefgh']
    vote = vote_of([0, 0, 0, 1, 1, 2, 3, 4, 5], total=40, names=names)
    figure = draw_timeline(vote, np.zeros((3, 6, 8, 3), np.uint8))
    figure.draw_without_rendering()  # `$` is no mathematics
    time = figure.axes[1]
    for clip, place in enumerate([0, 0, 0, 1, 1, 2, 3, 4]):
        found = heights(time, vote.starts[clip] / 10 + 0.1)
        assert {k for k, x in found.items() if x} == {COLOURS[place]}
        assert found[COLOURS[place]] == pytest.approx(0.65)
    assert heights(time, 3.3)[OTHER_COLOUR] == pytest.approx(0.65)
    assert time.get_xlim() == (0, 4)
    legend = [x.get_text() for x in figure.legends[0].get_texts()]
    assert legend[0] == '$\\frac$: 3 (33%), 0.25'
    assert len(legend) == 5


def test_weights_by_attention_are_bars_below():
    vote = vote_of([0, 0, 1], weights=[0.1, 0.1, 0.8])
    assert str(vote) == 'class 0: 2 of 3 clips; by attention class 1 0.50'
    assert vote.describe(2).endswith('class 1 0.65, weight 0.80')
    figure = draw_timeline(vote, np.zeros((3, 6, 8, 3), np.uint8))
    figure.draw_without_rendering()
    time = figure.axes[1]
    for clip, depth in enumerate((1 / 8, 1 / 8, 1)):
        found = heights(time, vote.starts[clip] / 10 + 0.1)
        assert found[WEIGHT_COLOUR] == pytest.approx(-DEPTH * depth)
    assert time.get_ylim() == (-DEPTH, 1)
    legend = [x.get_text() for x in figure.legends[0].get_texts()]
    assert legend[-1] == 'weight by attention'
    # The crops of a clip share a bar.
    vote = vote_of([0, 0, 1, 1], views=2, weights=[0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(vote.weights, [0.3, 0.7], rtol=1e-6)
    plain = vote_of([0, 0, 1])
    figure = draw_timeline(plain, np.zeros((3, 6, 8, 3), np.uint8))
    assert figure.axes[1].get_ylim() == (0, 1)


@pytest.mark.parametrize(
    'frames, ticks',
    [
        (30, ['0.0 s', '0.5 s', '1.0 s']),
        (900, ['0.0 s', '10.0 s', '20.0 s']),
        (9000, ['0.0 s', '2:00', '4:00']),
        (900_000, ['0.0 s', '3:00:00', '6:00:00']),
    ],
)
def test_ticks_are_round_times(frames, ticks):
    vote = vote_of([0, 1], total=frames)
    figure = draw_timeline(vote, np.zeros((3, 6, 8, 3), np.uint8))
    figure.draw_without_rendering()
    axis = figure.axes[1]
    low, high = axis.get_xlim()
    texts = [
        x.get_text()
        for x in axis.get_xticklabels()
        if low <= x.get_position()[0] <= high
    ]
    assert texts[:3] == ticks
    assert len(texts) <= 11


@pytest.mark.parametrize(
    'shape, size',
    [
        ((48, 64), (640, 480)),  # enlarged
        ((1080, 1920), (1280, 720)),  # made smaller
        ((1920, 1080), (404, 720)),  # upright, with room at its sides
        ((11, 901), (1280, 16)),
    ],
)
def test_size_of_annotated_frames(shape, size):
    frames = VoteFrames(vote_of([0, 1, 1]), shape)
    image = frames.draw(5, np.full((*shape, 3), 77, np.uint8))
    assert image.shape[:2] == frames.size[::-1]
    assert frames.size[0] == max(640, size[0])
    assert frames.size[0] % 2 == frames.size[1] % 2 == 0
    left = (frames.size[0] - size[0]) // 2
    shown = image[: size[1], left : left + size[0]]
    assert (shown == 77).all()
    assert (image[: size[1], : max(0, left - 1)] == 0).all()


def colours_in(image):
    """Colours that at least 30 pixels have."""
    pixels, counts = np.unique(
        image.reshape(-1, 3)[:, ::-1], axis=0, return_counts=True
    )
    return {mpl.colors.to_hex(x / 255) for x in pixels[counts > 30]}


def test_what_stands_below_a_frame():
    vote = vote_of([0, 0, 0, 1, 1, 2], total=26)
    frames = VoteFrames(vote, (48, 64))
    frame = np.zeros((48, 64, 3), np.uint8)
    panels = [frames.draw(k, frame)[480:].copy() for k in (0, 1, 20, 24)]
    # Within a clip only the mark moves.
    moved = (panels[0] != panels[1]).any(axis=(0, 2)).nonzero()[0]
    assert moved.max() < 40
    assert (panels[0] != panels[2]).any(axis=(0, 2)).sum() > 200
    # The classes and the votes over time, whatever clip it is.
    for panel in panels:
        assert set(COLOURS) <= colours_in(panel[60:])
    # The text has the colour of the clip's class; the tail is in no clip.
    assert COLOURS[0] in colours_in(panels[0][:30])
    assert COLOURS[2] in colours_in(panels[2][:30])
    assert OTHER_COLOUR in colours_in(panels[3][:30])
    assert (
        vote.describe(vote.clip_of(20)) == 'clip 6 of 6, 2.0 s: class 2 0.65'
    )
    assert vote.describe(None) == 'no clip'

"""Figures of the report page."""

import base64

import numpy as np
import pytest

from vll_mmaction.visualization.report_plots import (
    draw_confusion,
    draw_voters,
    svg_address,
)


def shown_ticks(axis):
    """Places and texts of the ticks within an axis."""
    low, high = sorted(axis.get_view_interval())
    return {
        tick.get_loc(): tick.label1.get_text()
        for tick in axis.get_major_ticks()
        if low <= tick.get_loc() <= high
    }


@pytest.mark.parametrize('low, high', [(0.705, 0.731), (0.1, 0.99), (1, 1)])
def test_ticks_of_accuracy_are_round_numbers(low, high):
    line = dict(zip([1, 2, 4, 8], np.linspace(low, high, 4)))
    figure = draw_voters({'A': line, 'B': line})
    figure.draw_without_rendering()
    (axis,) = figure.axes
    shown = shown_ticks(axis.yaxis)
    assert len(shown) >= 2
    assert shown == {place: f'{place:.0f} %' for place in shown}
    assert all(place == round(place) for place in shown)
    assert shown_ticks(axis.xaxis) == {1: '1', 2: '2', 4: '4', 8: '8'}


def test_ticks_of_many_classes_are_round_numbers():
    figure = draw_confusion(np.eye(101, dtype=int), [''] * 101)
    figure.draw_without_rendering()
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        shown = shown_ticks(axis)
        assert list(shown) == [0, 20, 40, 60, 80, 100]
        assert list(shown.values()) == ['0', '20', '40', '60', '80', '100']


def test_numbers_and_names_of_few_classes():
    figure = draw_confusion(np.array([[3, 0], [1, 7]]), ['a', '$\\x$'])
    _, encoded = svg_address(figure).split('base64,')
    text = base64.b64decode(encoded).decode()
    for shown in ('>3<', '>1<', '>7<', '>$\\x$<'):
        assert shown in text
    assert '>0<' not in text

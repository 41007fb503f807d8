"""The pictures of importance: the greatest on top, every dot at its value, colours that all people tell apart."""

from __future__ import annotations

import io

import numpy as np
import pytest

from jaxann import plot
from tests.contract import assert_input_error

pytest.importorskip("matplotlib")

NAMES = ["a", "b", "c", "d"]
MEAN = np.array([0.2, 0.9, -0.1, 0.5])
DEVIATION = np.array([0.05, 0.1, 0.02, 0.0])
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(50, 4))
VALUES = X * [0.1, 2.0, -1.0, 0.0]


def _drawn(axes) -> bytes:
    file = io.BytesIO()
    axes.figure.savefig(file, format="png")
    return file.getvalue()


def _ticks(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_bars_are_the_figures_with_the_most_important_on_top():
    axes = plot.importance_bars(NAMES, MEAN, DEVIATION)
    assert _ticks(axes) == ["b", "d", "a", "c"]
    bars = axes.patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], [0.9, 0.5, 0.2, -0.1])
    heights = [bar.get_y() + bar.get_height() / 2 for bar in bars]
    np.testing.assert_allclose(heights, [0, 1, 2, 3])
    low, high = axes.get_ylim()
    assert low > 3 > 0 > high  # the first is on top
    (lines,) = axes.collections
    ends = [[0.8, 1], [0.5, 0.5], [0.15, 0.25], [-0.12, -0.08]]
    np.testing.assert_allclose([line[:, 0] for line in lines.get_segments()], ends)
    colors = {tuple(bar.get_facecolor()) for bar in bars}
    assert len(colors) == 2 and bars[3].get_facecolor() != bars[0].get_facecolor()
    assert _drawn(axes).startswith(b"\x89PNG")


def test_at_most_so_many_columns_are_drawn():
    many = [f"column {i}" for i in range(64)]
    axes = plot.importance_bars(many, np.arange(64))
    assert len(axes.patches) == 20 and _ticks(axes)[0] == "column 63" and not axes.collections
    assert axes.get_title(loc="left").endswith("the first 20 of 64")
    assert len(plot.importance_bars(many, np.arange(64), most=5).patches) == 5
    swarm = plot.beeswarm(many, RANDOM.normal(size=(3, 64)) * np.arange(64), np.zeros((3, 64)))
    assert len(_ticks(swarm)) == 20 and "column 0" not in _ticks(swarm)


def test_long_names_lose_their_middle():
    names = ["a_very_long_name_of_a_column_that_ends_in_1", "a_very_long_name_of_a_column_that_ends_in_2", "$b$"]
    for axes in (plot.importance_bars(names, np.ones(3)), plot.beeswarm(names, np.ones((2, 3)), np.ones((2, 3)))):
        first, second, third = _ticks(axes)
        assert len(first) == len(second) <= 28 and first != second and first.startswith("a_very_long")
        assert third == r"\$b\$"
        axes.figure.draw_without_rendering()
        page = axes.figure.bbox
        boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
        assert all(page.x0 <= box.x0 for box in boxes)
        assert all(a.y0 > b.y1 for a, b in zip(boxes, boxes[1:], strict=False))


def test_every_dot_of_the_swarm_stands_at_its_value():
    axes = plot.beeswarm(NAMES, VALUES, X)
    assert _ticks(axes) == ["b", "c", "a", "d"]
    for row, column in enumerate((1, 2, 0, 3)):
        places = axes.collections[row].get_offsets()
        np.testing.assert_allclose(places[:, 0], VALUES[:, column])
        assert np.abs(places[:, 1] - row).max() <= 0.4
    assert _drawn(axes).startswith(b"\x89PNG")


def test_dots_at_one_place_are_heaped_up_on_both_sides():
    axes = plot.beeswarm(["a", "b"], np.c_[np.zeros(9), np.arange(9)], np.zeros((9, 2)))
    apart, heap = (np.asarray(found.get_offsets())[:, 1] for found in axes.collections)
    np.testing.assert_allclose(apart, 0)  # b is greater, so it is on top
    assert len(np.unique(heap)) == 9
    np.testing.assert_allclose(heap.mean(), 1)


def test_dots_go_from_blue_to_orange_with_the_number():
    x = np.linspace(-3, 5, 50)[:, None]
    shades = plot.beeswarm(["a"], x, x).collections[0].get_facecolors()
    red, blue = shades[:, 0], shades[:, 2]
    assert np.all(np.diff(red) >= -1e-9) and np.all(np.diff(blue[5:]) <= 0.02)
    assert red[0] < 0.3 < 0.7 < red[-1] and blue[-1] < 0.2 < 0.6 < blue[0]
    missing = plot.beeswarm(["a"], x, np.where(x > 0, np.nan, x)).collections[0]
    np.testing.assert_allclose(missing.get_facecolors()[-1][:3], 1)
    assert np.all(missing.get_edgecolors()[-1][:3] < 0.7)


@pytest.mark.parametrize("x", [np.full((3, 1), np.nan), np.ones((3, 1)), np.array([[0], [1], [1]])])
def test_columns_of_few_numbers_are_drawn(x):
    axes = plot.beeswarm(["a"], np.zeros((3, 1)), x)
    assert _drawn(axes).startswith(b"\x89PNG")


def test_pictures_are_drawn_where_they_are_told():
    from matplotlib.figure import Figure

    left, right = Figure().subplots(1, 2)
    assert plot.importance_bars(NAMES, MEAN, axes=left) is left
    assert plot.beeswarm(NAMES, VALUES, X, title="t", axes=right) is right and right.get_title(loc="left") == "t"


def test_bad_input_is_refused():
    bars, swarm = plot.importance_bars, plot.beeswarm
    assert_input_error(lambda: bars(NAMES[:3], MEAN), "names", expected="4 names", given="3")
    assert_input_error(lambda: bars("abcd", MEAN), "names")
    assert_input_error(lambda: bars(NAMES, MEAN[:, None]), "mean")
    assert_input_error(lambda: bars([], MEAN[:0]), "mean")
    assert_input_error(lambda: bars(NAMES, MEAN * np.nan), "mean", expected="finite")
    assert_input_error(lambda: bars(NAMES, MEAN, DEVIATION[:2]), "deviation")
    assert_input_error(lambda: bars(NAMES, MEAN, -DEVIATION), "deviation")
    assert_input_error(lambda: bars(NAMES, MEAN, most=0), "most")
    assert_input_error(lambda: swarm(NAMES, VALUES, X[:, :3]), "x")
    assert_input_error(lambda: swarm(NAMES, VALUES[0], X[0]), "values")
    assert_input_error(lambda: swarm(NAMES, VALUES[:0], X[:0]), "values")
    assert_input_error(lambda: swarm(NAMES, np.where(VALUES > 1, np.inf, VALUES), X), "values", expected="finite")
    assert_input_error(lambda: swarm(NAMES[:2], VALUES, X), "names")

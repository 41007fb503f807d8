"""The picture of a search: one line a setting, in the colours and heights of its values."""

from __future__ import annotations

import io

import numpy as np
import pytest

from jaxann import plot
from jaxann.tune import Table
from tests.contract import assert_input_error

pytest.importorskip("matplotlib")

RATES = np.array([1e-4, 1e-3, 1e-2, 1e-1])


def _table(hyperparameters=None, scores=(0.4, 0.1, 0.2, 0.8), mode="min", monitor="loss") -> Table:
    hyperparameters = {"learning_rate": RATES} if hyperparameters is None else hyperparameters
    return Table(hyperparameters, {monitor: np.array(scores)[:, None]}, monitor, mode, np.ones((len(scores), 1), int))


def _faint(axes) -> list[np.ndarray]:
    """The corners of the thin lines, in the order drawn."""
    return [path for collection in axes.collections for path in collection.get_segments()]


def _thick(axes):
    return [line for line in axes.get_lines() if line.get_linewidth() > 2]


def _texts(axes) -> dict[str, tuple[float, float]]:
    return {text.get_text(): text.get_position() for text in axes.texts}


def _darkness(color) -> float:
    return 1 - float(np.mean(color[:3]))


def test_parallel_coordinates_draws_one_line_a_setting():
    axes = plot.parallel_coordinates(_table())
    (best,) = _thick(axes)
    np.testing.assert_allclose(best.get_xdata(), [0, 1])
    np.testing.assert_allclose(best.get_ydata(), [1 / 3, 0])  # rate 1e-3 on a logarithmic axis, the least loss
    np.testing.assert_allclose([line[:, 1] for line in _faint(axes)], [[1, 1], [0, 3 / 7], [2 / 3, 1 / 7]])
    file = io.BytesIO()
    axes.figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize("mode, best", (("min", 1), ("max", 3)))
def test_better_lines_are_darker_and_later(mode, best):
    axes = plot.parallel_coordinates(_table(mode=mode))
    shades = [_darkness(color) for color in axes.collections[0].get_colors()]
    thick = _thick(axes)[0]
    assert shades == sorted(shades) and _darkness(thick.get_color()) > shades[-1]
    np.testing.assert_allclose(thick.get_ydata()[0], best / 3)
    assert thick.get_zorder() > axes.collections[0].get_zorder()
    assert [("lower" if mode == "min" else "higher") in text for text in _texts(axes) if "better" in text] == [True]


@pytest.mark.parametrize("best", (0, 2, 9))
def test_as_many_lines_are_thick_as_asked(best):
    axes = plot.parallel_coordinates(_table(), best=best)
    thick = min(best, 4)
    assert len(_thick(axes)) == thick and len(_faint(axes)) == 4 - thick


def test_a_wide_positive_range_is_logarithmic():
    texts = _texts(plot.parallel_coordinates(_table()))
    np.testing.assert_allclose([texts[f"{rate:g}"][1] for rate in RATES], [0, 1 / 3, 2 / 3, 1])
    linear = _texts(plot.parallel_coordinates(_table({"a": np.array([1.0, 2.0, 3.0, 11.0])})))
    np.testing.assert_allclose([linear["2"][1], linear["10"][1]], [0.1, 0.9])
    scores = _texts(plot.parallel_coordinates(_table(scores=(1e-3, 1e-2, 1e-1, 1.0))))
    np.testing.assert_allclose(scores["loss\n(lower is better)"][0], 1)
    np.testing.assert_allclose([scores["0.01"][1], scores["0.1"][1]][0], 1 / 3)


def test_zero_stands_apart_on_a_logarithmic_axis():
    texts = _texts(plot.parallel_coordinates(_table({"decay": np.array([0.0, 1e-4, 1e-2, 1.0])})))
    heights = np.array([texts[text][1] for text in ("0", "0.0001", "0.01", "1")])
    assert heights[0] == 0 and heights[1] > 0.05 and heights[3] == 1
    np.testing.assert_allclose(heights[2] - heights[1], heights[3] - heights[2])


def test_categories_are_evenly_spaced_ticks():
    hyperparameters = {
        "activation": ["tanh", "relu", "gelu", "tanh"],
        "widths": [(8,), None, "x", (8,)],
        "on": [True, False] * 2,
    }
    texts = _texts(plot.parallel_coordinates(_table(hyperparameters)))
    assert [texts[name] for name in ("gelu", "relu", "tanh")] == [(-0.04, 0.0), (-0.04, 0.5), (-0.04, 1.0)]
    assert sorted(texts[name][1] for name in ("(8,)", "None", "x")) == [0.0, 0.5, 1.0]
    assert texts["False"][1] == 0 and texts["True"][1] == 1


def test_lines_through_one_category_are_told_apart():
    axes = plot.parallel_coordinates(_table({"activation": ["relu"] * 3 + ["tanh"]}))
    (best,) = _thick(axes)
    heights = [line[0, 1] for line in _faint(axes)] + [best.get_ydata()[0]]
    assert best.get_ydata()[0] == 0  # the best line meets the tick
    assert len(set(heights)) == 4 and np.abs(np.sort(heights)[:3]).max() <= 0.03


def test_settings_that_diverged_end_before_the_score():
    axes = plot.parallel_coordinates(_table(scores=(0.4, 0.1, np.nan, np.inf)))
    lost, rest = axes.collections
    assert [len(line) for line in lost.get_segments()] == [1, 1]
    assert [len(line) for line in rest.get_segments()] == [2]
    assert axes.get_title(loc="left") == "4 settings, 2 without a score in grey"


@pytest.mark.parametrize(
    "column",
    (
        np.ones(4),
        np.array([1, 2, 1000, 4]),
        np.array([-5.0, 0.1, 0.2, 1e6]),
        np.array([np.inf, 1.0, 2.0, 3.0]),
        np.array([0.971234, 0.971235, 0.971236, 0.971239]),
        np.array([1e-300, 1e300, 1.0, 2.0]),
        [lambda: 0, max, None, 3],
        ["v" * 100, "y", "z", "w"],
    ),
    ids=("equal", "outlier", "signs", "infinite", "close", "extreme", "objects", "long"),
)
def test_any_column_has_ticks_within_its_axis(column):
    axes = plot.parallel_coordinates(_table({"a": column}))
    axes.figure.draw_without_rendering()
    names = [text for text in axes.texts if text.get_position()[0] < 0]
    assert names and all(-1e-9 <= text.get_position()[1] <= 1 + 1e-9 for text in names)
    labels = [text.get_text() for text in names]
    assert len(set(labels)) == len(labels) and max(map(len, labels)) <= 16
    corners = [line[0, 1] for line in _faint(axes)]
    assert np.isfinite(corners).all() and min(corners) >= -0.05 and max(corners) <= 1.05


@pytest.mark.parametrize("count", (1, 3, 8))
def test_nothing_is_cut_and_no_names_overlap(count):
    names = ("learning_rate", "weight_decay_of_the_last_layer", "units", "b", "c", "d", "e", "f")[:count]
    axes = plot.parallel_coordinates(_table(dict.fromkeys(names, RATES), monitor="validation_accuracy"))
    figure = axes.figure
    figure.draw_without_rendering()
    page = figure.bbox
    for part in figure.axes:
        box = part.get_tightbbox()
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
    boxes = [text.get_window_extent() for text in axes.texts if text.get_position()[1] > 1.05]
    assert len(boxes) == count + 1
    assert all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False))


def test_parallel_coordinates_draws_where_it_is_told():
    from matplotlib.figure import Figure

    given = Figure().add_subplot()
    assert plot.parallel_coordinates(_table(), axes=given) is given
    assert [part.get_ylabel() for part in given.figure.axes[1:]] == ["loss"]  # the colour bar


def test_parallel_coordinates_refuses_what_is_no_search():
    assert_input_error(lambda: plot.parallel_coordinates({"a": 1}), "table", given="{'a': 1}")
    assert_input_error(lambda: plot.parallel_coordinates(_table({})), "table", expected="hyperparameter")
    assert_input_error(lambda: plot.parallel_coordinates(_table(), best=-1), "best", given="-1")
    lost = _table(scores=(np.nan,) * 4)
    assert_input_error(lambda: plot.parallel_coordinates(lost), "table", expected="finite loss", given="none of 4")

"""Pictures hold what they were given; no pyplot, no screen."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest

from jaxann import plot
from jaxann.core import InputError
from tests.contract import assert_input_error

pytest.importorskip("matplotlib")

HISTORY = {
    "loss": np.array([1.0, 0.5, 0.4, np.nan]),
    "learning_rate": np.full(4, 0.1),
    "validation_loss": np.array([0.9, 0.6, 0.7, np.nan]),
    "accuracy": np.array([0.5, 0.7, 0.8, np.nan]),
}
TRUE = np.array([0, 1, 2, 1, 0])
LOGITS = np.array([[2.0, 0, 0], [0, 3, 0], [0, 1, 0], [9, 0, 0], [1, 0, 0]])  # rows 2 and 3 are wrong, 3 the surer
PICTURES = np.linspace(0, 1, 5 * 8 * 8, dtype=np.float32).reshape(5, 8, 8, 1)


def _drawn(figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _texts(figure) -> list[str]:
    from matplotlib.text import Text

    return [found.get_text() for found in figure.findobj(Text) if found.get_text()]


def test_learning_curves_draws_both_sets_from_epoch_1():
    axes = plot.learning_curves(HISTORY, "loss", best_epoch=1)
    training, validation, best = axes.get_lines()
    np.testing.assert_array_equal(training.get_xdata(), [1, 2, 3, 4])
    np.testing.assert_array_equal(training.get_ydata(), HISTORY["loss"])
    np.testing.assert_array_equal(validation.get_ydata(), HISTORY["validation_loss"])
    assert (list(best.get_xdata()), list(best.get_ydata())) == ([2], [0.6])
    assert "best, epoch 2" in _texts(axes.figure)
    assert _drawn(axes.figure).startswith(b"\x89PNG")


def test_learning_curves_without_validation_has_one_line():
    assert len(plot.learning_curves(HISTORY, "learning_rate", best_epoch=-1).get_lines()) == 1


def test_learning_curves_shows_a_single_epoch():
    axes = plot.learning_curves({"loss": [1.0]})
    assert axes.get_lines()[0].get_marker() == "o"
    assert axes.get_xlim()[0] < 1 < axes.get_xlim()[1]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_learning_curves_refuses_what_is_not_there():
    message = assert_input_error(lambda: plot.learning_curves(HISTORY, "acuracy"), "name", given="acuracy")
    assert "accuracy" in message
    assert_input_error(lambda: plot.learning_curves({"loss": np.ones((3, 4))}), "history['loss']", given="(3, 4)")
    assert_input_error(lambda: plot.learning_curves({"loss": np.ones(0)}), "history['loss']", given="(0,)")


@pytest.mark.parametrize("predictions", (LOGITS, LOGITS.argmax(-1)), ids=("logits", "labels"))
def test_confusion_counts_true_by_predicted(predictions):
    axes = plot.confusion(predictions, TRUE)
    cells = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "2", (1, 1): "1", (1, 0): "1", (2, 1): "1"}
    assert axes.get_xlabel() == "predicted"
    assert axes.get_ylabel() == "true"


def test_confusion_names_classes_and_leaves_numbers_out_when_many():
    axes = plot.confusion(LOGITS, TRUE, classes=("cat", "dog", "bird"))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog", "bird"]
    many = np.arange(30)
    assert not plot.confusion(many, many).texts


def test_confusion_refuses_what_does_not_fit():
    assert_input_error(lambda: plot.confusion(LOGITS[:4], TRUE), "predictions", expected="(5, classes)")
    assert_input_error(lambda: plot.confusion(LOGITS, TRUE.astype(float)), "targets", given="float64")
    assert_input_error(lambda: plot.confusion(LOGITS, TRUE, classes=("a", "b")), "classes", given="2 names")
    assert_input_error(lambda: plot.confusion(LOGITS, TRUE - 1), "labels", given="-1")


def test_examples_draws_one_picture_a_caption():
    figure = plot.examples(PICTURES, list("abcde"), columns=3, title="five")
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 1, 1, 0]
    assert {"five", "a", "e"} <= set(_texts(figure))
    assert _drawn(figure)


@pytest.mark.parametrize("shape", ((2, 4, 6), (2, 4, 6, 1), (2, 4, 6, 3)))
def test_examples_takes_grey_and_colour(shape):
    assert _drawn(plot.examples(np.zeros(shape), ["", ""]))


def test_examples_refuses_what_are_no_pictures():
    assert_input_error(lambda: plot.examples(np.zeros((2, 64)), ["", ""]), "x", given="(2, 64)")
    assert_input_error(lambda: plot.examples(np.zeros((2, 8, 8, 2)), ["", ""]), "x", given="(2, 8, 8, 2)")
    assert_input_error(lambda: plot.examples(PICTURES, ["a"]), "captions", expected="5 texts", given="1")
    assert_input_error(lambda: plot.examples(PICTURES, list("abcde"), columns=0), "columns", given="0")


def test_mistakes_shows_the_surest_first():
    figure = plot.mistakes(PICTURES, LOGITS, TRUE, columns=2)
    captions = [axes.get_xlabel() for axes in figure.axes]
    assert captions == ["1 read as 0\n100 % sure", "2 read as 1\n58 % sure"]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), PICTURES[3, ..., 0])
    assert "2 of 5 misread" in _texts(figure)


def test_mistakes_says_how_many_it_leaves_out():
    assert "2 of 5 misread; the 1 surest of them" in _texts(plot.mistakes(PICTURES, LOGITS, TRUE, most=1))
    labels = LOGITS.argmax(-1)
    assert "2 of 5 misread; the first 1 of them" in _texts(plot.mistakes(PICTURES, labels, TRUE, most=1))


def test_mistakes_of_a_perfect_model():
    figure = plot.mistakes(PICTURES, TRUE, TRUE)
    assert {"0 of 5 misread", "no mistakes"} <= set(_texts(figure))
    assert _drawn(figure)


def test_mistakes_refuses_another_number_of_pictures():
    assert_input_error(
        lambda: plot.mistakes(PICTURES[:3], LOGITS, TRUE), "x", expected="5 pictures", given="(3, 8, 8, 1)"
    )


def test_report_holds_everything():
    figure = plot.report(HISTORY, LOGITS, TRUE, PICTURES, best_epoch=1, title="a title")
    assert {"a title", "loss", "accuracy", "confusion matrix", "2 of 5 misread"} <= set(_texts(figure))


@pytest.mark.parametrize("copies", (1, 6), ids=("one row", "two rows"))
@pytest.mark.parametrize("classes", (None, ("ant", "caterpillar", "cow")), ids=("short names", "long names"))
def test_report_cuts_nothing(copies, classes):
    logits, true, x = np.tile(LOGITS, (copies, 1)), np.tile(TRUE, copies), np.tile(PICTURES, (copies, 1, 1, 1))
    figure = plot.report(HISTORY, logits, true, x, best_epoch=1, title="a title", classes=classes)
    figure.draw_without_rendering()
    page = figure.bbox
    for axes in figure.axes:
        box = axes.get_tightbbox()
        if box is not None and axes.axison:
            assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1


def test_report_refuses_a_metric_that_was_not_measured():
    with pytest.raises(InputError, match="recall"):
        plot.report(HISTORY, LOGITS, TRUE, PICTURES, metric="recall")


def test_drawing_needs_neither_pyplot_nor_a_screen(tmp_path):
    code = (
        "import sys; from jaxann import plot; assert 'matplotlib' not in sys.modules;"
        "plot.learning_curves({'loss': [1.0, 0.5]}).figure.savefig(sys.argv[1]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_missing_matplotlib_names_the_extra(monkeypatch):
    from jaxann.core import MissingDependencyError

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        MissingDependencyError, match=r'plot\.learning_curves needs matplotlib: pip install "jaxann\[plots\]"'
    ):
        plot.learning_curves(HISTORY)

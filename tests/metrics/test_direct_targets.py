"""Targets that a metric does not take: refused where they are known, in both forms, and NaN inside a program."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import metrics
from jaxann.core import InputError, Metric, factory
from jaxann.core.domains import binary_domain, takes_classes
from jaxann.metrics import streaming
from tests.catalogue import METRICS, MetricRow
from tests.contract import assert_input_error
from tests.programs import quick_jit
from tests.tolerances import assert_close

DRAW = np.random.default_rng(4)
ROWS, CLASSES = 12, 3
SCORES = DRAW.normal(size=(ROWS, CLASSES)).astype(np.float32)
LABELS = (np.arange(ROWS) % CLASSES).astype(np.int32)
BITS = (np.arange(ROWS) % 2).astype(np.int32)
ONES = np.ones(ROWS, np.float32)
LAST = (np.arange(ROWS) != 5).astype(np.float32)  # what is bad below stands at row 5
OF_CLASSES = [row for row in METRICS if takes_classes(row.build().traits)]
BINARY = [row for row in OF_CLASSES if binary_domain(row.build().traits)]


def with_bad(good: np.ndarray, value: float) -> np.ndarray:
    """Of the dtype of the good ones where it can hold the value."""
    bad = good.astype(good.dtype if float(value).is_integer() else np.float32)
    bad[5] = value
    return bad


def forms(row: MetricRow, metric: Metric | None = None) -> list[Any]:
    """All ways to hand targets to a metric from outside of a program."""
    metric = row.build() if metric is None else metric
    return [row.plain, metric, lambda *given: metric.update(metric.init(), *given)]


def assert_refused(calls: list[Any], predictions: np.ndarray, targets: Any, given: str, argument="targets") -> None:
    """By each of them, with and without weights; by none of them where the weight is 0."""
    for call in calls:
        assert_input_error(lambda call=call: call(predictions, targets), argument, given=given)
        assert_input_error(lambda call=call: call(predictions, targets, ONES), argument, given=given)


@pytest.mark.parametrize("row", OF_CLASSES, ids=str)
def test_labels_of_class_scores_are_classes(row: MetricRow):
    for value, given in ((CLASSES, "3 at row 5"), (-1, "-1 at row 5"), (np.nan, "nan at row 5"), (0.5, "0.5 at row 5")):
        assert_refused(forms(row), SCORES, with_bad(LABELS, value), given)
    tokens = np.stack([LABELS, with_bad(LABELS, 7)], 1)
    assert_refused(forms(row)[:2], np.stack([SCORES, SCORES], 1), tokens, "7 at row 5, column 1")


@pytest.mark.parametrize("row", BINARY, ids=str)
def test_targets_of_binary_scores_are_answers(row: MetricRow):
    """0 and 1, or -1 and 1 where no probability is asked for; in the streaming form too."""
    name = row.name.removeprefix("metrics.")
    calls = forms(row, getattr(streaming, name)())
    for value, given in ((2, "2 at row 5"), (-3, "-3 at row 5"), (np.nan, "nan at row 5")):
        assert_refused(calls, SCORES[:, 0], with_bad(BITS, value), given)
        assert_refused(calls, SCORES[:, 0].astype(jnp.bfloat16), with_bad(BITS, value), given)


def test_minus_one_beside_0_and_1_is_a_third_class():
    three = np.asarray([-1, 0, 1] * 4, np.float32)
    for row in BINARY:
        assert row.plain is not None
        assert_input_error(lambda row=row: row.plain(SCORES[:, 0], three), "targets", given="at row")
    assert_refused([metrics.accuracy], SCORES[:, 0], 2 * with_bad(BITS, 0.5) - 1, "0 at row 5")
    weights = (three != -1).astype(np.float32)
    hits = (SCORES[:, 0] > 0) == (three > 0)
    np.testing.assert_allclose(metrics.accuracy(SCORES[:, 0], three, weights), hits[weights != 0].mean(), rtol=1e-6)


def test_in_a_program_nan_for_an_answer_gives_nan():
    made = [getattr(streaming, row.name.removeprefix("metrics."))() for row in BINARY]
    program = quick_jit(lambda targets, weights: [metric(SCORES[:, 0], targets, weights) for metric in made])
    bad = with_bad(BITS.astype(np.float32), np.nan)
    for row, figure in zip(BINARY, program(bad, ONES), strict=True):
        assert np.isnan(figure).all(), row
    for row, figure, want in zip(BINARY, program(bad, LAST), program(BITS.astype(np.float32), LAST), strict=True):
        np.testing.assert_array_equal(figure, want, err_msg=str(row))


@pytest.mark.parametrize("row", [row for row in BINARY if "takes_labels" in row.build().traits], ids=str)
def test_predicted_labels_and_their_targets_are_classes(row: MetricRow):
    name = row.name.removeprefix("metrics.")
    predicted = np.roll(LABELS, 1)
    if name in ("roc_auc", "average_precision", "expected_calibration_error"):  # scores alone
        assert_input_error(lambda: row.plain(predicted, LABELS), "predictions", given="int32")  # type: ignore[misc]
        return
    calls = forms(row)
    for value, given in ((np.nan, "nan at row 5"), (0.5, "0.5 at row 5")):
        assert_refused(calls[1:], predicted, with_bad(LABELS, value), given)
    if name == "accuracy":  # which counts no classes
        return
    for value, given in ((3, "3 at row 5"), (-1, "-1 at row 5")):
        assert_refused(calls[1:], predicted, with_bad(LABELS, value), given)
        assert_refused(calls[1:], with_bad(predicted, value), LABELS, given, "predictions")
    assert_refused(forms(row)[:1], predicted, with_bad(LABELS, -1), "-1 at row 5")  # the greatest one tells how many
    assert_refused(forms(row)[:1], BITS == 1, with_bad(BITS, 2), "2 at row 5")


@pytest.mark.parametrize("row", OF_CLASSES, ids=str)
def test_in_a_program_what_is_no_class_gives_nan_and_valid_ones_the_figure_of_the_oracle(row: MetricRow):
    metric = row.build()

    @quick_jit
    @jax.vmap
    def figures(targets, weights):
        whole = row.plain(SCORES, targets, weights)  # type: ignore[misc]
        return whole, metric.compute(metric.update(metric.init(), SCORES, targets, weights))

    good = LABELS.astype(np.float32)
    bad = [with_bad(good, value) for value in (CLASSES, -1, np.nan, 0.5)]
    targets, weights = np.stack([good, *bad, *bad]), np.stack([ONES, *[ONES] * 4, *[LAST] * 4])
    assert row.reference is not None
    full, kept = (row.reference(SCORES.astype(np.float64)[w != 0], LABELS[w != 0], ONES[w != 0]) for w in (ONES, LAST))
    for found in figures(targets, weights):
        assert_close(found[0], full, "reduction")
        assert np.isnan(found[1:5]).reshape(4, -1).all(1).all()
        for one in found[5:]:
            assert_close(one, kept, "reduction")


def test_metrics_of_numbers_take_any():
    huge = DRAW.integers(-300, 300, (ROWS, CLASSES)).astype(np.float32)
    rows = [row for row in METRICS if row not in OF_CLASSES and row.name != "metrics.token_error_rate"]
    assert len(rows) == 7

    @quick_jit
    def figures(targets):
        return [(row.plain(SCORES, targets), row.build()(SCORES, targets)) for row in rows]  # type: ignore[misc]

    for row, found in zip(rows, figures(huge), strict=True):
        assert row.reference is not None
        want = row.reference(SCORES.astype(np.float64), huge.astype(np.float64), ONES)
        assert_close(np.stack(found), [want, want], "reduction")


def test_one_number_and_what_is_no_number():
    number = jnp.float32(2)
    assert_input_error(lambda: metrics.accuracy(jnp.float32(0.3), number), "targets", given="2")
    words = np.asarray(["a", "b", "c"] * 4)
    assert_input_error(lambda: metrics.accuracy(SCORES, words), "targets", given="<U1")
    half = with_bad(BITS, 2).astype(jnp.bfloat16)
    assert_input_error(lambda: metrics.accuracy(SCORES[:, 0], half), "targets", given="2 at row 5")
    assert_input_error(lambda: metrics.accuracy(SCORES, half + 1), "targets", given="3 at row 5")


def test_every_eager_batch_is_looked_at_and_what_weighs_nothing_is_not():
    metric = streaming.accuracy()
    sums = metric.update(metric.init(), SCORES, LABELS)
    assert_input_error(lambda: metric.update(sums, SCORES, with_bad(LABELS, 3)), "targets", given="3 at row 5")
    sums = metric.update(metric.init(), SCORES, with_bad(LABELS, 3), LAST)
    hits = (SCORES.argmax(1) == LABELS)[LAST != 0]
    np.testing.assert_allclose(metric.compute(sums), hits.mean(), rtol=1e-6)
    signs = (2 * BITS - 1).astype(np.float32)
    np.testing.assert_allclose(metric(signs, signs), 1.0)


@factory(Metric, static=("classes",), traits=("takes_labels",))
def own(classes: int = 3):
    return streaming.accuracy().functions


def test_a_metric_of_your_own_declares_the_same():
    predicted = np.roll(LABELS, 1)
    metric = own()
    assert_input_error(lambda: metric(SCORES, with_bad(LABELS, 3)), "targets", expected="labels in 0..2")
    assert_input_error(lambda: metric(predicted, with_bad(LABELS, 3)), "targets", expected="labels in 0..2")
    assert_input_error(lambda: metric(SCORES[:, 0], with_bad(BITS, 2)), "targets", expected="0 and 1")


def test_labels_beyond_32_bits_are_refused_where_they_would_be_cut():
    far = LABELS.astype(np.int64)
    far[5] = 2**32 + int(LABELS[5])
    assert_refused([metrics.accuracy, streaming.accuracy()], LABELS, far, f"{far[5]} at row 5")
    assert_refused([metrics.accuracy], far, LABELS, f"{far[5]} at row 5", "predictions")
    signs = 2 * BITS - 1  # any whole numbers may be labels
    assert float(metrics.accuracy(signs, np.where(LAST != 0, signs, -signs))) == pytest.approx(11 / 12)


def test_metrics_made_of_others_refuse_what_these_refuse():
    bad, members = with_bad(LABELS, 3), np.stack([SCORES, SCORES], 1)
    for metric in (metrics.accuracy, streaming.accuracy()):
        head = metrics.of_head("a", metric)
        assert_input_error(lambda head=head: head({"a": SCORES}, {"a": bad}), "targets", given="3 at row 5")
    mean = metrics.of_mean_softmax(streaming.log_loss())
    with pytest.raises(InputError, match="labels in 0..2, got 3 at row 5"):
        mean(members, bad)


def test_the_report_looks_at_its_labels():
    report = metrics.classification_report
    assert_input_error(lambda: report(SCORES[:, 0], BITS + 1), "targets", given="2 at row 1")
    assert_input_error(lambda: report(SCORES, with_bad(LABELS, 3)), "targets", given="3 at row 5")
    assert_input_error(lambda: report(SCORES, with_bad(LABELS, np.nan)), "targets", given="nan at row 5")
    assert_input_error(lambda: report(np.roll(LABELS, 1), with_bad(LABELS, -1)), "targets", given="-1 at row 5")
    assert_input_error(lambda: report(LABELS, LABELS, classes=2), "targets", given="2 at row 2")
    assert_input_error(lambda: report(with_bad(LABELS, 3), LABELS, classes=3), "predictions", given="3 at row 5")
    assert report(SCORES, with_bad(LABELS, 3), LAST) == report(SCORES, LABELS, LAST)

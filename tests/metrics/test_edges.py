"""The edges of the metrics: what is undefined, what fits no class, what is not a number, and what is merged where."""

from __future__ import annotations

import functools
import itertools

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxann import metrics
from jaxann.metrics import streaming
from jaxann.metrics.streaming import ConfusionSums
from tests.contract import assert_input_error
from tests.metrics.oracles import calibration
from tests.tolerances import assert_close

DRAW = np.random.default_rng(3)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("average", ["macro", "micro", "weighted", "none"])
def test_undefined_ratios_are_what_scikit_learn_makes_of_them(average: str):
    oracle = pytest.importorskip("sklearn.metrics")
    kinds = (
        ("precision_score", streaming.precision, {}),
        ("recall_score", streaming.recall, {}),
        ("fbeta_score", streaming.f_beta, {"beta": 2.0}),
    )

    @functools.partial(jax.jit, static_argnames="absent")
    def figures(counts, empty, absent):
        setting = {"average": average, "zero_division": empty, "absent": absent}
        return {name: make(4, **setting, **more).compute(ConfusionSums(counts)) for name, make, more in kinds}

    cases = [DRAW.integers(0, 4, (2, 6)) for _ in range(6)]
    cases += [np.asarray(c) for c in ([[0, 0, 0], [1, 1, 1]], [[2, 2], [2, 2]], [[0, 3], [3, 0]], [[0, 1], [0, 2]])]
    for (true, predicted), empty, absent in itertools.product(cases, (0.0, 1.0, np.nan), ("skip", "count")):
        counts = oracle.confusion_matrix(true, predicted, labels=range(4)).astype(float)
        settings = {} if absent == "skip" and average != "none" else {"labels": range(4)}
        found = figures(counts, empty, absent=absent)
        for name, _, more in kinds:
            how = None if average == "none" else average
            with np.errstate(invalid="ignore"):
                expected = getattr(oracle, name)(true, predicted, average=how, zero_division=empty, **settings, **more)
            np.testing.assert_allclose(found[name], expected, rtol=1e-12, err_msg=f"{name} {absent} {empty}")


def test_what_fits_no_class_makes_the_matrix_nan_unless_it_has_no_weight():
    matrix = jax.jit(lambda p, y, w: metrics.confusion_matrix(p, y, w, classes=3))
    logits, labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.asarray([0, 1, 2, 1], np.int32)
    gone = np.where(np.arange(4)[:, None] == 2, np.float32(np.nan), logits)
    for spoilt in (
        (logits, np.asarray([0, 1, 3, 1], np.int32)),
        (logits, np.asarray([0, 1, -1, 1], np.int32)),
        (gone, labels),
        (np.asarray([0, 1, 5, 0], np.int32), labels),
    ):
        assert np.isnan(matrix(*spoilt, np.ones(4, np.float32))).all()
        padded = matrix(*spoilt, np.asarray([1, 1, 0, 1], np.float32))
        np.testing.assert_array_equal(padded, [[1, 0, 0], [1, 1, 0], [0, 0, 0]])


def test_labels_may_be_predicted_and_tell_how_many_classes_there_are():
    predicted, labels = np.asarray([0, 2, 1, 2]), np.asarray([0, 1, 1, 2])
    np.testing.assert_array_equal(metrics.confusion_matrix(predicted, labels), [[1, 0, 0], [0, 1, 1], [0, 0, 1]])
    assert metrics.confusion_matrix(predicted > 1, labels > 0).shape == (2, 2)
    assert float(metrics.accuracy(predicted, labels)) == 0.75
    traced = jax.jit(lambda p, y: metrics.f1(p, y, average="macro"))
    message = assert_input_error(lambda: traced(predicted, labels), "classes")
    assert "compiled program" in message
    logits = np.zeros((4, 5), np.float32)
    assert_input_error(lambda: metrics.f1(logits, labels), "classes", given="5")
    assert_input_error(lambda: metrics.f1(logits, labels, classes=4, average="macro"), "classes", given="4")
    assert_input_error(lambda: metrics.log_loss(predicted, labels), "predictions", given="int")
    assert_input_error(lambda: metrics.top_k_accuracy(logits[:, 0], labels), "predictions", given="(4,)")
    assert_input_error(lambda: streaming.expected_calibration_error(adaptive=True), "capacity")


def test_one_class_alone():
    made = streaming.matthews_correlation(), streaming.cohen_kappa(), streaming.balanced_accuracy()
    figures = jax.jit(lambda counts: [metric.compute(ConfusionSums(counts)) for metric in made])
    np.testing.assert_array_equal(figures(np.asarray([[7, 0], [0, 0]], np.float32)), [0, np.nan, 1])
    np.testing.assert_allclose(figures(np.asarray([[3, 4], [0, 0]], np.float32)), [0, 0, 3 / 7], rtol=1e-6)
    many = np.asarray([[3e19, 1e19], [1e19, 2e19]], np.float32)  # squares of these are no float32 numbers
    np.testing.assert_allclose(figures(many), [5 / 12, 5 / 12, (3 / 4 + 2 / 3) / 2], rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e18, 1e30])
def test_ranks_are_those_of_weights_of_any_size(scale: float):
    sklearn = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 40), random.normal(size=40).astype(np.float32)
    weights = (random.uniform(0.5, 1.5, 40) * scale).astype(np.float32)
    wanted = sklearn.roc_auc_score(labels, scores, sample_weight=weights.astype(np.float64))
    assert float(metrics.roc_auc(scores, labels, weights)) == pytest.approx(wanted, rel=1e-5)
    binned = float(metrics.streaming.roc_auc(bins=4096)(scores, labels, weights))
    assert binned == pytest.approx(wanted, abs=5e-3)


def test_probabilities_are_probabilities():
    outside, labels = np.float32([1.5, -0.2, 0.3, 0.5]), np.array([0, 0, 1, 1])
    rows = np.float32([[0.9, 0.9], [0.5, 0.5]])
    for figure in (metrics.log_loss, metrics.brier, metrics.expected_calibration_error):
        refused = functools.partial(figure, from_logits=False)
        assert_input_error(lambda f=refused: f(outside, labels), "predictions", given="1.5", expected="in [0, 1]")
        assert_input_error(lambda f=refused: f(rows, labels[1:3]), "predictions", given="sum 1.8", expected="sum to 1")
        counted = np.float32([0, 0, 1, 1])
        assert np.isfinite(refused(outside, labels, counted)) and np.isnan(refused(outside[2:] * np.nan, labels[2:]))


def test_of_equal_scores_the_first_rank_first():
    scores = np.asarray([[1, 1, 1], [0, 2, 2], [3, 0, 3], [np.nan, 0, 1]], np.float32)
    hits = jax.jit(jax.vmap(lambda p, y, k: metrics.top_k_accuracy(p[None], y[None], k=k), (0, 0, None)))
    np.testing.assert_array_equal(hits(scores, np.asarray([1, 2, 2, 2]), 1), [0, 0, 0, np.nan])
    np.testing.assert_array_equal(hits(scores, np.asarray([1, 2, 2, 2]), 2), [1, 1, 1, np.nan])
    np.testing.assert_array_equal(hits(scores, np.asarray([2, 0, 1, 0]), 2), [0, 0, 0, np.nan])
    np.testing.assert_array_equal(hits(scores, np.asarray([3, -1, 0, 0]), 3), [np.nan, np.nan, 1, np.nan])


def test_probabilities_at_the_ends():
    loss, given = jax.jit(metrics.log_loss), jax.jit(lambda p, y: metrics.log_loss(p, y, from_logits=False))
    assert float(loss(np.asarray([np.inf, -np.inf], np.float32), np.asarray([1, 0]))) == 0.0
    assert float(loss(np.asarray([np.inf, -np.inf], np.float32), np.asarray([0, 0]))) == np.inf
    assert float(loss(np.asarray([-1e4, 1e4], np.float32), np.asarray([1, 1]))) == 5e3
    hard = np.asarray([[1, 0], [1, 0]], np.float32)
    expected = -(np.log1p(-(2.0**-23)) + np.log(2.0**-23)) / 2
    assert_close(given(hard, np.asarray([0, 1])), expected, "reduction")
    for metric in (loss, jax.jit(metrics.brier), jax.jit(metrics.perplexity)):
        assert np.isfinite(metric(hard, np.asarray([0, 1])))
        assert np.isnan(metric(hard, np.asarray([0, 2])))
        assert np.isnan(metric(hard * np.float32(np.nan), np.asarray([0, 1])))
    tokens, weights = np.zeros((2, 3, 5), np.float32), np.asarray([[1, 1, 0], [1, 0, 0]], np.float32)
    labels = np.zeros((2, 3), np.int32)
    assert_close(jax.jit(metrics.perplexity)(tokens, labels, weights), 5.0, "reduction")


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("bins", [10, 15])
def test_confidence_on_an_edge_belongs_to_the_bin_below(bins: int):
    edges = np.linspace(0, 1, bins + 1)[bins // 2 + 1 :]
    p, hit = np.stack([edges, 1 - edges], 1), np.arange(len(edges)) % 2
    figure = jax.jit(lambda p, y: metrics.expected_calibration_error(p, y, bins=bins, from_logits=False))
    assert_close(figure(p, 1 - hit), calibration(edges, hit, np.ones(len(edges)), bins), "reduction")


def test_equal_confidences_stay_together_in_adaptive_bins():
    p = np.asarray([0.75] * 4 + [0.9] * 2, np.float32)
    hits = np.asarray([1, 0, 1, 0, 1, 0], np.int32)
    figure = jax.jit(lambda p, y: metrics.expected_calibration_error(p, y, bins=2, from_logits=False, adaptive=True))
    found = [figure(p[order], hits[order]) for order in (np.arange(6), np.asarray([1, 3, 0, 2, 5, 4]))]
    assert float(found[0]) == float(found[1])
    assert_close(found[0], (4 * 0.25 + 2 * 0.4) / 6, "reduction")


def test_medians_by_hand_and_a_buffer_that_is_full():
    metric = streaming.median_absolute_error(4)
    update, compute = jax.jit(metric.update), jax.jit(metric.compute)
    p, y = np.asarray([1, -2, 3, 10], np.float32), np.zeros(4, np.float32)
    figures = {(1, 1, 1, 1): 2.5, (1, 1, 1, 0): 2.0, (1, 1, 1, 4): 10.0, (0, 1, 0, 1): 6.0, (0, 0, 0, 0): np.nan}
    for weights, figure in figures.items():
        np.testing.assert_equal(float(compute(update(metric.init(), p, y, np.asarray(weights, np.float32)))), figure)
    ones = np.ones(4, np.float32)
    assert np.isnan(compute(update(metric.init(), np.where(p == 3, np.float32(np.nan), p), y, ones)))
    full = update(metric.init(), p, y, ones)
    assert float(compute(update(full, p, y, 0 * ones))) == 2.5
    over, merge = (
        update(full, p, y, np.eye(4, dtype=np.float32)[0]),
        jax.jit(functools.partial(streaming.merge, metric)),
    )
    for lossy in (over, merge(full, full), merge(over, metric.init()), merge(metric.init(), over)):
        assert np.isnan(compute(lossy))
    other = streaming.median_absolute_error(5).init()
    assert_input_error(lambda: streaming.merge(metric, full, other), "a and b")


@pytest.mark.usefixtures("x64")
def test_relative_and_explained_edges():
    oracle = pytest.importorskip("sklearn.metrics")
    y, p = np.asarray([0.0, 2.0]), np.asarray([1.0, 1.0])
    expected = oracle.mean_absolute_percentage_error(y, p)
    assert expected > 2e15
    assert_close(jax.jit(metrics.mape)(p, y), expected, "reduction")
    explained, r2 = jax.jit(metrics.explained_variance), jax.jit(metrics.r2)
    flat, rising = np.full(5, 0.1), np.arange(5.0)
    assert float(explained(flat, flat)) == 1.0
    assert float(explained(flat + rising, flat)) == 0.0
    assert float(explained(rising + 2, rising)) == 1.0 > float(r2(rising + 2, rising))


SHARED = {
    "accuracy": (streaming.accuracy(), 3), "histogram": (streaming.roc_auc(3, bins=20), 3),
    "exact": (streaming.average_precision(3, capacity=24), 3), "r2": (streaming.r2(2), 2),
    "variance": (streaming.explained_variance(2), 2),
}  # fmt: skip


def test_sums_of_two_devices_are_those_of_the_whole():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    logits, labels = DRAW.normal(size=(24, 3)).astype(np.float32), (np.arange(24) % 3).astype(np.int32)
    numbers, weights = DRAW.normal(size=(24, 2)).astype(np.float32), (np.arange(24) % 4).astype(np.float32)

    def of(metric, width, z, y, t, w):
        return metric.update(metric.init(), z if width == 3 else z[:, :2], y if width == 3 else t, w)

    def everything(z, y, t, w):
        found = {}
        for name, (metric, width) in SHARED.items():
            found[name] = metric.compute(streaming.merge_across(metric, of(metric, width, z, y, t, w), "data"))
        return found

    specs = (PartitionSpec("data"),) * 4
    shared = jax.jit(jax.shard_map(everything, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False))(
        logits, labels, numbers, weights
    )
    whole = jax.jit(
        lambda *data: {name: metric.compute(of(metric, width, *data)) for name, (metric, width) in SHARED.items()}
    )(logits, labels, numbers, weights)
    for name, figure in whole.items():
        assert_close(shared[name], figure, "reduction")

"""Metrics against scikit-learn in float64, and their edges by hand."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxann.metrics import accuracy, r2, rmse, streaming
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(5)
SCORES = RANDOM.normal(size=(200, 4))
LABELS = RANDOM.integers(0, 4, 200)
TARGETS = SCORES + RANDOM.normal(size=(200, 4))
WEIGHTS = RANDOM.uniform(0, 3, 200)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
def test_metrics_match_sklearn(weights: np.ndarray | None):
    oracle = pytest.importorskip("sklearn.metrics")
    own = None if weights is None else jnp.asarray(weights)
    scores, labels, targets = jnp.asarray(SCORES), jnp.asarray(LABELS), jnp.asarray(TARGETS)
    expected = oracle.accuracy_score(LABELS, SCORES.argmax(-1), sample_weight=weights)
    np.testing.assert_allclose(accuracy(scores, labels, own), expected, rtol=1e-12)
    binary = oracle.accuracy_score(LABELS > 1, SCORES[:, 0] > 0, sample_weight=weights)
    for kind in (jnp.asarray(LABELS > 1), jnp.asarray(LABELS > 1, jnp.int32), jnp.asarray(LABELS > 1, jnp.float64)):
        np.testing.assert_allclose(accuracy(scores[:, 0], kind, own), binary, rtol=1e-12)
    mean = np.average(((SCORES - TARGETS) ** 2).mean(-1), weights=weights)
    np.testing.assert_allclose(rmse(scores, targets, own), np.sqrt(mean), rtol=1e-12)
    one = oracle.root_mean_squared_error(TARGETS[:, 0], SCORES[:, 0], sample_weight=weights)
    np.testing.assert_allclose(rmse(scores[:, 0], targets[:, 0], own), one, rtol=1e-12)
    expected = oracle.r2_score(TARGETS, SCORES, sample_weight=weights)
    np.testing.assert_allclose(r2(scores, targets, own), expected, rtol=1e-12)
    expected = oracle.r2_score(TARGETS[:, 1], SCORES[:, 1], sample_weight=weights)
    np.testing.assert_allclose(r2(scores[:, 1], targets[:, 1], own), expected, rtol=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e4, -3.3])
@pytest.mark.parametrize("rows", [3, 7, 100])
def test_r2_of_a_constant_target(constant: float, rows: int):
    y = jnp.full((rows,), constant)
    assert float(r2(y, y)) == 1.0
    assert float(r2(y + 1.0, y)) == 0.0
    pieces = [streaming.r2().update(streaming.r2().init(), y[i::2], y[i::2]) for i in range(2)]
    assert float(streaming.r2().compute(streaming.merge(streaming.r2(), *pieces))) == 1.0


def test_r2_survives_a_large_mean():
    y = 1e4 + jnp.arange(100.0) / 100
    p = y + 0.05
    expected = 1 - 100 * 0.05**2 / (np.var(np.arange(100.0) / 100) * 100)
    np.testing.assert_allclose(r2(p, y), expected, rtol=2e-2)  # float32 holds 1e4 to 1e-3, of a spread of 0.3
    assert float(r2(-p, y)) < 0


def test_metrics_of_nothing_are_no_numbers():
    none = jnp.zeros((0, 3))
    assert np.isnan(accuracy(none, jnp.zeros((0,), jnp.int32)))
    assert np.isnan(accuracy(jnp.zeros((2, 3)), jnp.zeros(2, jnp.int32), jnp.zeros(2)))
    assert np.isnan(rmse(none, none))


def test_accuracy_counts_the_first_greatest_class():
    scores = jnp.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]])
    assert float(accuracy(scores, jnp.array([0, 1]))) == 1.0
    assert float(accuracy(scores, jnp.array([0, 1], jnp.uint8))) == 1.0
    tokens = jnp.zeros((2, 3, 4)).at[..., 1].set(1.0)
    weights = jnp.array([1.0, 0.0])
    assert float(accuracy(tokens, jnp.array([[1, 1, 0], [0, 0, 0]]), weights)) == pytest.approx(2 / 3, rel=1e-6)


def test_accuracy_of_one_column_of_logits_is_not_silent():
    labels, logits = np.array([0, 1, 1]), np.array([[-1.0], [2.0], [3.0]], np.float32)
    assert_input_error(lambda: accuracy(logits, labels), "targets")


def test_shapes_are_checked():
    x = np.zeros((4, 1), np.float32)
    for metric in (rmse, r2):
        assert_input_error(lambda metric=metric: metric(x, x[:, 0]), "targets", given="(4,)")
    assert_input_error(lambda: accuracy(x, np.zeros((3,), np.int32)), "targets", given="(3,)")
    two = streaming.r2(2)
    assert_input_error(lambda: two.update(two.init(), x, x), "columns", given="2")

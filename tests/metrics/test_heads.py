"""The metric of one head, and which direction is the better one."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxann as ja
from jaxann import metrics
from jaxann.core import Metric, factory, from_config, padded, to_config
from jaxann.metrics import streaming
from jaxann.metrics.forms import form_of
from tests.catalogue import METRICS, MetricRow
from tests.contract import assert_input_error
from tests.programs import quick_jit

Z = {"digit": jnp.array([[2.0, 1.0], [0.0, 3.0], [5.0, 1.0]]), "size": jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])}
Y = {"digit": jnp.array([0, 0, 0]), "size": jnp.asarray(np.zeros((3, 2), np.float32))}

figure = quick_jit(lambda metric, predictions, targets: metric(predictions, targets))


@pytest.mark.parametrize("metric", [metrics.accuracy, streaming.accuracy()], ids=["plain", "streaming"])
def test_of_head_is_the_metric_of_that_head(metric):
    own = metrics.of_head("digit", metric)
    assert isinstance(own, Metric) == isinstance(metric, Metric)
    np.testing.assert_allclose(own(Z, Y), 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(own(Z, Y, jnp.array([1.0, 2.0, 1.0])), 0.5, rtol=1e-6)
    assert_input_error(lambda: own({"size": Z["size"]}, Y), "predictions['digit']", given="'size'")
    assert_input_error(lambda: own(Z, {}), "targets['digit']")
    assert_input_error(lambda: own(Z, Y["digit"]), "targets['digit']", given="shape (3,)")


def test_of_head_counts_real_positions_of_padded_targets():
    y = Y | {"size": padded(Y["size"], jnp.array([2, 0, 1]))}
    for metric in (metrics.mae, streaming.mae()):
        np.testing.assert_allclose(metrics.of_head("size", metric)(Z, y), (1 + 2 + 5) / 3, rtol=1e-6)
        weighted = metrics.of_head("size", metric)(Z, y, jnp.array([1.0, 1.0, 2.0]))
        np.testing.assert_allclose(weighted, (1 + 2 + 2 * 5) / 4, rtol=1e-6)


def test_of_head_has_the_streaming_form_of_its_metric():
    f1 = metrics.of_head("digit", functools.partial(metrics.f1, average="macro"))
    shapes = [jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), tree) for tree in (Y, Z)]
    form = form_of(f1, *shapes)
    assert form == metrics.of_head("digit", streaming.f1(2, average="macro"))
    np.testing.assert_allclose(figure(form, Z, Y), quick_jit(f1)(Z, Y), rtol=1e-6)
    assert form_of(metrics.of_head("digit", lambda p, t: jnp.sum(p)), *shapes) is None
    assert form_of(metrics.accuracy, *shapes) is None  # of which head?
    assert from_config(to_config(form)) == form


def test_of_head_refuses_what_is_no_metric():
    assert_input_error(lambda: metrics.of_head("digit", "accuracy"), "metric", given="accuracy")
    assert_input_error(lambda: metrics.of_head(3, metrics.accuracy), "name", given="3")


@pytest.mark.parametrize("row", METRICS, ids=str)
def test_every_metric_declares_its_direction(row: MetricRow):
    """The better figure is that of predictions that are right."""
    direction = metrics.direction_of(row.build())
    assert row.plain is not None and metrics.direction_of(row.plain) == direction
    if row.name == "metrics.confusion_matrix":
        assert direction is None
        return
    targets = np.asarray(row.targets(jax.random.key(0), (30, 3)))
    right = 5 * np.eye(3, dtype=np.float32)[targets] if targets.ndim == 1 else targets
    wrong = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)
    good, bad = (float(figure(row.build(), p, targets)) for p in (right, wrong))
    assert (good > bad) == (direction == "max") and good != bad


def test_direction_goes_through_what_holds_the_metric():
    assert metrics.direction_of(metrics.of_mean(streaming.rmse())) == "min"
    assert metrics.direction_of(metrics.of_head("a", streaming.accuracy())) == "max"
    assert metrics.direction_of(metrics.of_head("a", functools.partial(metrics.f_beta, beta=2.0))) == "max"
    assert metrics.direction_of(metrics.of_head("a", lambda p, t: 0)) is None


@metrics.lower_is_better
def largest_error(predictions, targets, weights=None):
    return jnp.max(jnp.abs(predictions - targets))


@factory(Metric, traits=("higher_is_better",))
def own_metric():
    return streaming.accuracy().functions


def test_direction_of_a_metric_of_your_own():
    assert metrics.direction_of(largest_error) == "min"
    assert metrics.direction_of(functools.partial(largest_error, weights=None)) == "min"
    assert metrics.direction_of(own_metric()) == "max"
    assert metrics.direction_of(lambda p, t, w: 0) is None
    assert metrics.direction_of(ja.losses.squared_error) is None

    @metrics.higher_is_better
    def score(predictions, targets, weights=None):
        return 0

    assert metrics.direction_of(score) == "max"
    assert score(1, 2) == 0

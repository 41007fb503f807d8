"""Metrics of the members' mean: their figures, any split of the data, JSON, and their errors."""

from __future__ import annotations

import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

import jaxann as ja
from jaxann.core import from_config, to_config
from jaxann.metrics import of_mean, of_mean_sigmoid, of_mean_softmax, streaming
from tests.contract import assert_input_error

RANDOM = np.random.default_rng(0)
PREDICTIONS = RANDOM.normal(size=(40, 5, 3)).astype(np.float32)
TARGETS = RANDOM.normal(size=(40, 3)).astype(np.float32)
EVERY = [of_mean(streaming.rmse()), of_mean_softmax(streaming.accuracy()), of_mean_sigmoid(streaming.accuracy())]


def test_the_metric_sees_the_mean_prediction():
    expected = np.sqrt(np.mean((PREDICTIONS.mean(1) - TARGETS) ** 2))
    np.testing.assert_allclose(of_mean(streaming.rmse())(PREDICTIONS, TARGETS), expected, rtol=1e-6)


def test_probabilities_are_averaged_and_not_logits():
    logits = jnp.asarray([[[9.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])  # the sure one wins by logits, the two do not
    assert of_mean_softmax(streaming.accuracy())(logits, jnp.asarray([0])) == 1.0
    mean = jax.nn.softmax(logits).mean(1)
    assert (mean.argmax(-1) == 0).all()
    split = jnp.asarray([[[40.0, 0.0], [0.0, 5.0], [0.0, 5.0]]])  # by logits class 0, by probabilities class 1
    assert split.mean(1).argmax() == 0
    assert of_mean_softmax(streaming.accuracy())(split, jnp.asarray([1])) == 1.0
    binary = jnp.asarray([[40.0, -5.0, -5.0]])
    assert of_mean_sigmoid(streaming.accuracy())(binary, jnp.asarray([0.0])) == 1.0


@ja.core.factory(ja.core.Metric)
def first_prediction():
    """Hands on what it was shown."""
    return (lambda: ()), (lambda sums, p, t, w: p), (lambda sums: sums)


@pytest.mark.usefixtures("x64")
def test_what_the_metric_is_shown():
    logits = PREDICTIONS[:7].astype(np.float64) * 4
    p = scipy.special.softmax(logits, -1).mean(1)
    np.testing.assert_allclose(np.exp(of_mean_softmax(first_prediction())(logits, None)), p, rtol=1e-12)
    p = (1 / (1 + np.exp(-logits))).mean(1)
    np.testing.assert_allclose(of_mean_sigmoid(first_prediction())(logits, None), np.log(p / (1 - p)), rtol=1e-10)
    for metric in (of_mean_softmax, of_mean_sigmoid):
        far = np.full((1, 2, 3), 1e4)
        far[0, 0, 1] = -1e4
        huge = metric(first_prediction())(far, None)
        assert np.isfinite(np.asarray(huge)).all()


@pytest.mark.parametrize("metric", EVERY, ids=repr)
def test_metric_of_members_gathers_batches_and_survives_json(metric):
    targets = TARGETS if "accuracy" not in repr(metric) else 1 * (TARGETS > 0)
    targets = np.arange(40, dtype=np.int32) % 3 if "softmax" in repr(metric) else targets
    weights = (np.arange(40) < 30).astype(np.float32)
    spoiled = PREDICTIONS.copy()
    spoiled[30:] = np.nan
    whole = metric(PREDICTIONS[:30], targets[:30])
    np.testing.assert_allclose(metric(spoiled, targets, weights), whole, rtol=1e-6)
    sums = metric.update(metric.init(), PREDICTIONS[:15], targets[:15])
    sums = streaming.merge(metric, sums, metric.update(metric.init(), PREDICTIONS[15:30], targets[15:30]))
    np.testing.assert_allclose(metric.compute(sums), whole, rtol=1e-5)
    assert from_config(json.loads(json.dumps(to_config(metric)))) == metric == pickle.loads(pickle.dumps(metric))


def test_metric_of_members_checks_what_it_is_given():
    flat = np.zeros(6, np.float32)
    for make in (of_mean, of_mean_softmax, of_mean_sigmoid):
        message = assert_input_error(lambda make=make: make(ja.metrics.accuracy), "metric")
        assert "streaming.accuracy()" in message
        assert_input_error(lambda make=make: make(streaming.rmse())(flat, flat), "predictions", given="(6,)")

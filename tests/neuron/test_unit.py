"""The threshold unit, the perceptron's answers, the margin and the bound on mistakes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxann import neuron
from jaxann.neuron import margin, mistake_bound, perceptron, threshold_net, threshold_unit
from tests.contract import assert_input_error


def test_a_sum_that_reaches_its_threshold_does_not_fire():
    x = np.array([[1.0, 1.0], [1.0, 2.0], [0.0, 0.0]], np.float32)
    assert threshold_unit(x, np.array([0.5, 0.5]), 1.0).tolist() == [0.0, 1.0, 0.0]
    assert threshold_unit(x, np.array([1, 1])).tolist() == [1.0, 1.0, 0.0]
    several = threshold_unit(x[None], np.eye(2, 3), np.array([0.5, 1.0, -1.0]))
    assert several.shape == (1, 3, 3)
    assert several[0].tolist() == [[1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    assert perceptron(x, np.array([0.5, 0.5, 1.0])).tolist() == [0.0, 1.0, 0.0]
    assert perceptron(x[0], np.array([0.5, 0.5, -1.0]), bias_input=1.0).shape == ()


def test_dtypes_and_what_is_not_a_number():
    for dtype in (jnp.float32, jnp.bfloat16, jnp.int32, bool):
        assert threshold_unit(jnp.ones((2, 3), dtype), np.ones(3, np.float32), 2.5).tolist() == [1.0, 1.0]
    odd = threshold_unit(np.array([[np.nan, 1.0], [np.inf, 1.0], [-np.inf, 1.0]], np.float32), np.ones(2, np.float32))
    assert np.isnan(odd[0]) and odd[1:].tolist() == [1.0, 0.0]
    with jax.enable_x64(True):
        assert perceptron(np.ones((2, 3)), np.ones(4)).dtype == jnp.float64


@pytest.mark.usefixtures("x64")
def test_margin_is_the_distance_of_the_nearest_example():
    x, targets = np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, -1.0]]), np.array([1, 1, 0])
    weights = np.array([3.0, 4.0, 1.0])  # 3 x1 + 4 x2 > 1
    length = np.sqrt(26)
    np.testing.assert_allclose(margin(x, targets, weights), 5 / length, rtol=1e-14)
    np.testing.assert_allclose(margin(x, targets, 100 * weights), 5 / length, rtol=1e-14)
    np.testing.assert_allclose(margin(x, 1 - targets, weights), -11 / length, rtol=1e-14)
    np.testing.assert_allclose(mistake_bound(x, targets, weights), 10 * 26 / 25, rtol=1e-14)
    np.testing.assert_allclose(mistake_bound(x, targets, weights, bias_input=0.0), 9 * 26 / 36, rtol=1e-14)
    both = np.stack([weights, -weights], 1)
    found = mistake_bound(x, np.stack([targets, targets], 1), both)
    np.testing.assert_allclose(found, [10.4, np.inf])
    assert float(margin(x, targets, 0 * weights)) == 0.0 and np.isinf(mistake_bound(x, targets, 0 * weights))


def test_what_does_not_fit_is_refused():
    x, t, w = np.zeros((4, 2), np.float32), np.zeros(4, np.int32), np.ones(3, np.float32)
    assert_input_error(lambda: threshold_unit(x, w), "weights", given="(3,)", expected="(2,)")
    assert_input_error(lambda: threshold_unit(x, np.ones((2, 3)), np.ones(2)), "threshold", given="(2,)")
    assert_input_error(lambda: threshold_net(x, [(np.ones((2, 3)), 0.0), (np.ones(2), 0.0)]), "layer 1", given="(2,)")
    assert_input_error(lambda: perceptron(x, w[:2]), "weights", given="(2,)", expected="bias node")
    assert_input_error(lambda: perceptron(x, w, bias_input=np.nan), "bias_input", given="nan")
    assert_input_error(lambda: margin(x, t + 2, w), "targets", given="2")
    assert_input_error(lambda: margin(x, t, np.ones((3, 2))), "weights", given="(3, 2)")
    assert_input_error(lambda: mistake_bound(x + np.float32(np.inf), t, w), "x", given="inf in row 0")


def test_lists_are_taken_and_what_is_no_array_of_numbers_refused():
    x, targets = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
    weights, report = neuron.fit_perceptron(x, targets)
    assert report.converged and weights.tolist() == [0.5, 0.25, 0.5]
    assert neuron.perceptron(x, [0.5, 0.25, 0.5]).tolist() == targets
    assert neuron.threshold_unit(x, [1.0, 1.0], 1.5).tolist() == targets
    assert float(neuron.margin(x, targets, [1, 1, 1.5])) > 0
    for call in (
        lambda: neuron.threshold_unit(1.0, np.ones(1)),
        lambda: neuron.perceptron(1.0, np.ones(2)),
        lambda: neuron.threshold_net(1.0, neuron.xor_net()),
        lambda: neuron.perceptron([[1.0], [1.0, 2.0]], np.ones(2)),
        lambda: neuron.perceptron("and", np.ones(2)),
    ):
        assert_input_error(call, "x")
    assert_input_error(lambda: neuron.fit_perceptron(x, targets, learning_rate=np.ones(2)), "learning_rate")

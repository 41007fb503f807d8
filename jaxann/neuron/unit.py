"""The threshold unit, the perceptron made of such units, and how far its weights are from a mistake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_range, fail
from jaxann.core.programs import jit
from jaxann.core.typing import Array, Scalar
from jaxann.neuron.inputs import (
    as_numbers,
    check_examples,
    check_inputs,
    check_targets,
    check_weights,
    floating,
    with_bias,
)

__all__ = ["fire", "margin", "mistake_bound", "perceptron", "threshold_net", "threshold_unit"]


def fire(score: Array) -> Array:
    """1 where the score is above 0, else 0; a score that is NaN stays NaN."""
    return jnp.where(jnp.isnan(score), score, (score > 0).astype(score.dtype))


def threshold_unit(x: Array, weights: Array, threshold: Scalar | Array = 0.0) -> Array:
    """y = 1 if sum_i w_i x_i > threshold, else 0: a unit that just reaches its threshold does not fire.

    Args:
        x: `(..., inputs)`.
        weights: `(inputs,)` for one unit, `(inputs, units)` for several that share their inputs.
        threshold: a number, or `(units,)`.

    Returns:
        0.0 or 1.0, `(...)` for one unit, `(..., units)` for several. NaN where the sum is NaN. The slope is 0
        everywhere: gradient descent cannot train it, `fit_perceptron` can.

    Source: McCulloch and Pitts 1943 (their inhibition is absolute; here a negative weight inhibits).

    Raises:
        InputError: the weights do not fit the inputs, or the threshold the units.
    """
    x, weights = as_numbers("threshold_unit", "x", x), as_numbers("threshold_unit", "weights", weights)
    check_inputs("threshold_unit", x)
    threshold = as_numbers("threshold_unit", "threshold", threshold)
    check_weights("threshold_unit", np.shape(x)[-1], weights, bias=False)
    units = np.shape(weights)[1:]
    if np.shape(threshold) not in ((), units):
        fail("threshold_unit", "threshold", f"a number or of shape {units}", f" shape {np.shape(threshold)}")
    return _unit(x, weights, threshold)


@jit(nested=True)
def _unit(x: Array, weights: Array, threshold: Scalar | Array) -> Array:
    kind = floating(x, weights)
    sums = jnp.matmul(jnp.asarray(x).astype(kind), jnp.asarray(weights).astype(kind), precision=lax.Precision.HIGHEST)
    return fire(sums - jnp.broadcast_to(jnp.asarray(threshold).astype(kind), sums.shape))


def threshold_net(x: Array, layers: Sequence[tuple[Array, Scalar]]) -> Array:
    """Layers of threshold units one after the other: what one layer fires is the input of the next.

    Args:
        x: `(..., inputs)`.
        layers: `(weights, threshold)` of each layer, as in `threshold_unit`; see `xor_net`.

    Returns:
        What the last layer fires.

    Raises:
        InputError: the weights of a layer do not fit what the layer before it gives.
    """
    x = as_numbers("threshold_net", "x", x)
    check_inputs("threshold_net", x)
    width = np.shape(x)[-1]
    for i, (weights, _) in enumerate(layers):
        check_weights("threshold_net", width, weights, f"weights of layer {i}", bias=False)
        width = np.shape(weights)[-1]
    for weights, threshold in layers:
        x = threshold_unit(x, weights, threshold)
    return x


def perceptron(x: Array, weights: Array, *, bias_input: Scalar = -1.0) -> Array:
    """Y = 1[[X, c] W > 0]: what a layer of independent threshold units answers.

    Args:
        x: `(..., inputs)`.
        weights: W, `(inputs + 1,)` for one neuron or `(inputs + 1, neurons)`; the last row belongs to the bias node.
        bias_input: c, the constant that the bias node gives. With c = -1 the last row holds the thresholds.

    Returns:
        0.0 or 1.0, `(...)` or `(..., neurons)`; NaN where the sum is NaN.

    Source: Rosenblatt 1958.

    Raises:
        InputError: the weights do not fit the inputs.
    """
    x, weights = as_numbers("perceptron", "x", x), as_numbers("perceptron", "weights", weights)
    check_inputs("perceptron", x)
    check_weights("perceptron", np.shape(x)[-1], weights)
    check_range("perceptron", "bias_input", bias_input)
    return _layer(x, weights, bias_input)


@jit(nested=True)
def _layer(x: Array, weights: Array, bias_input: Scalar) -> Array:
    return _unit(with_bias(jnp.asarray(x).astype(floating(x, weights)), bias_input), weights, 0.0)


def margin(x: Array, targets: Array, weights: Array, *, bias_input: Scalar = -1.0) -> Array:
    """gamma = min_i s_i (w . [x_i, c]) / |w|, with s = 2 t - 1: the distance of the nearest example to the boundary.

    Measured in the space with the bias node as one more axis. Above 0 if and only if the weights separate the two
    classes; where they do not, it is minus the distance of the worst mistake.

    Args:
        x: `(examples, inputs)`.
        targets: t, 0 or 1, `(examples,)` or `(examples, neurons)`.
        weights: w, `(inputs + 1,)` or `(inputs + 1, neurons)`; the last row belongs to the bias node.
        bias_input: c.

    Returns:
        `()`, or `(neurons,)`. 0 for weights that are all 0.

    Source: Novikoff 1962.

    Raises:
        InputError: shapes do not fit, targets are not 0 or 1, or x is not finite.
    """
    given = _checked("margin", x, targets, weights, bias_input)
    return _nearest(*given, bias_input)[0]


@jit(nested=True)
def _nearest(x: Array, targets: Array, weights: Array, bias_input: Scalar) -> tuple[Array, Array]:
    """The margin, and R^2."""
    kind = floating(x, weights)
    weights, signs = jnp.asarray(weights).astype(kind), 2 * jnp.asarray(targets).astype(kind) - 1
    given = with_bias(jnp.asarray(x).astype(kind), bias_input)
    smallest = jnp.min(signs * jnp.matmul(given, weights, precision=lax.Precision.HIGHEST), 0)
    length = jnp.sqrt(jnp.sum(weights * weights, 0))
    gamma = jnp.where(length == 0, 0, smallest / jnp.where(length == 0, 1, length))
    return gamma, jnp.max(jnp.sum(given * given, -1))


def mistake_bound(x: Array, targets: Array, weights: Array, *, bias_input: Scalar = -1.0) -> Array:
    """(R / gamma)^2, R = max_i |[x_i, c]|: the online rule from zero weights makes no more mistakes than that.

    In any order of the examples, at any learning rate, however many passes it takes. Every set of weights that
    separates the classes gives a bound; the one of the widest `margin` gives the best.

    Args:
        x, targets, weights, bias_input: as in `margin`.

    Returns:
        `()`, or `(neurons,)`; inf where the weights do not separate the classes.

    Source: Novikoff 1962.

    Raises:
        InputError: as `margin`.
    """
    given = _checked("mistake_bound", x, targets, weights, bias_input)
    return _bound(*given, bias_input)


@jit(nested=True)
def _bound(x: Array, targets: Array, weights: Array, bias_input: Scalar) -> Array:
    gamma, radius = _nearest(x, targets, weights, bias_input)
    bound = jnp.broadcast_to(radius, gamma.shape) / jnp.where(gamma > 0, gamma * gamma, 1)
    return jnp.where(jnp.isnan(gamma), gamma, jnp.where(gamma > 0, bound, jnp.inf))


def _checked(function: str, x: Any, targets: Any, weights: Any, bias_input: Any) -> tuple[Array, Array, Array]:
    x, targets = as_numbers(function, "x", x), as_numbers(function, "targets", targets)
    weights = as_numbers(function, "weights", weights)
    check_examples(function, x)
    check_targets(function, x, targets)
    check_weights(function, np.shape(x)[-1], weights)
    check_range(function, "bias_input", bias_input)
    if np.shape(weights)[1:] != np.shape(targets)[1:]:
        expected = f"of shape {(np.shape(x)[1] + 1, *np.shape(targets)[1:])}, a column for each of the targets"
        fail(function, "weights", expected, f" shape {np.shape(weights)}")
    return x, targets, weights

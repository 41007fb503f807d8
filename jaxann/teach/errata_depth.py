"""Commonly printed mistakes about initial weights and depth, checked on nets of 40 layers.

Such figures are one draw of many, here that of key 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann import activations, initializers, ops
from jaxann.backprop import backward
from jaxann.core.typing import Array, Key, Scalar
from jaxann.layers import dense, elementwise, sequential
from jaxann.losses import half_squared_error
from jaxann.teach.erratum import Check, Erratum, check

__all__ = ["ROWS", "Draw", "deep", "draw"]

_DEPTH, _WIDTH, _BATCH = 40, 128, 64
_HE, _GLOROT = (2 / _WIDTH) ** 0.5, (2 / (_WIDTH + _WIDTH)) ** 0.5  # standard deviations of He and Glorot


class Draw(NamedTuple):
    """Inputs, weights, and the slope of a cost at the outputs."""

    x: Array
    weights: Array
    slope: Array


@jax.jit
def draw(key: Key) -> Draw:
    """64 inputs, 40 weights of 128 x 128 and a slope at each output, all of the standard normal distribution."""
    keys = jax.random.split(key, _DEPTH + 2)
    weights = jax.vmap(lambda k: jax.random.normal(k, (_WIDTH, _WIDTH)))(keys[:_DEPTH])
    x, slope = jax.vmap(lambda k: jax.random.normal(k, (_BATCH, _WIDTH)))(keys[_DEPTH:])
    return Draw(x, weights, slope)


@functools.partial(jax.jit, static_argnames=("activation", "normalized"))
def deep(activation: Callable, drawn: Draw, stddev: Scalar, *, normalized: bool = False) -> tuple[Array, Array]:
    """A net of 40 layers of 128 units at its initial weights, without biases.

    Args:
        activation: of every layer.
        drawn: inputs, weights and slope.
        stddev: what the weights are multiplied by.
        normalized: whether each weighted sum is normalized over the batch first.

    Returns:
        `(deviation, ratio)`: the standard deviation of the outputs, and the norm of the gradient of the first weights
        over that of the last.
    """

    def layer(a, weight):
        z = a @ weight
        if normalized:
            mean, variance, _ = ops.moments(z)
            z = ops.normalize(z, mean, variance, None, None, 1e-5)
        return activation(z), None

    out, vjp = jax.vjp(lambda w: jax.lax.scan(layer, drawn.x, w)[0], stddev * drawn.weights)
    norms = jnp.sqrt(jnp.sum(vjp(drawn.slope)[0] ** 2, (1, 2)))
    return jnp.std(out), norms[0] / norms[-1]


def _measured(activation: Callable, stddev: float, *, normalized: bool = False) -> tuple[float, float]:
    deviation, ratio = deep(activation, draw(jax.random.key(0)), jnp.asarray(stddev), normalized=normalized)
    return float(deviation), float(ratio)


def _variance_or_deviation() -> Check:
    tenth, _ = _measured(activations.relu, 0.1)
    he, _ = _measured(activations.relu, _HE)
    return check(
        tenth < 1e-2 < he, ("std of the outputs in one draw, weights of std 0.1", tenth), ("of He's std 0.125", he)
    )


def _sigmoid() -> Check:
    _, ratio = _measured(activations.sigmoid, _GLOROT)
    return check(ratio < 1e-20, ("gradient of the first layer over the last, one draw", ratio))


def _leaky_variance() -> Check:
    leaky, relu = (float(initializers.gain(name, slope)) for name, slope in (("leaky_relu", 0.2), ("relu", None)))
    return check(leaky < relu, ("gain for alpha = 0.2", leaky), ("for relu", relu))


def _symmetry() -> Check:
    model = sequential(
        {"dense0": dense(3), "act0": elementwise("tanh"), "dense1": dense(1), "act1": elementwise("sigmoid")}
    )
    x, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0.0], [1], [1], [0]])
    state = {name: {} for name in ("dense0", "act0", "dense1", "act1")}

    @jax.jit
    def train(c):
        def full(*shape):
            return jnp.full(shape, c)

        params = {
            "dense0": {"weight": full(2, 3), "bias": jnp.zeros(3)},
            "act0": {},
            "dense1": {"weight": full(3, 1), "bias": jnp.zeros(1)},
            "act1": {},
        }

        def step(params, _):
            grads = backward(model, params, state, jnp.asarray(x), jnp.asarray(y), half_squared_error).grads
            return jax.tree.map(lambda w, g: w - 0.5 * g, params, grads), None

        return jax.lax.scan(step, params, None, length=200)[0]["dense0"]["weight"]

    still, moved = (np.asarray(train(jnp.asarray(c))) for c in (0.0, 0.3))
    apart = float(np.abs(moved - moved[:, :1]).max())
    return check(
        not still.any() and apart < 1e-12 < float(np.abs(moved - 0.3).max()),
        ("change of W1 from all 0", float(np.abs(still).max())),
        ("change from all 0.3", float(np.abs(moved - 0.3).max())),
        ("difference between its columns", apart),
    )


def _normalized() -> Check:
    _, ratio = _measured(activations.relu, _HE, normalized=True)
    growth = ratio ** (2 / (_DEPTH - 1))
    return check(
        growth > 1.4,
        ("growth a layer of the squared gradient, one draw", growth),
        ("theory", float(np.pi / (np.pi - 1))),
    )


def _derivatives_times_weights() -> Check:
    _, ratio = _measured(activations.tanh, _GLOROT)
    return check(0.1 < ratio < 10, ("gradient of the first layer over the last, one draw", ratio))


def _recurrent() -> Check:
    run = jax.jit(lambda h: jax.lax.fori_loop(0, 20, lambda _, h: activations.relu(2 * h), h))
    grown = float(run(jnp.asarray(1.0)))
    held = float(jax.lax.fori_loop(0, 20, lambda _, h: activations.tanh(2 * h), jnp.asarray(1.0)))
    return check(grown > 1e5 > 1 > held, ("after 20 steps with relu", grown), ("with tanh", held))


ROWS = (
    Erratum("E37", "I", "Small random weights N(0, 0.01), the second number a variance elsewhere in the same text.",
            "Say that the standard deviation is .01; read as a variance it is .1.", _variance_or_deviation),
    Erratum("E38", "I", "Glorot's variance is the one for hidden sigmoids.",
            "It assumes a slope of 1 at 0, as tanh has; the sigmoid's is 1/4.", _sigmoid),
    Erratum("E39", "I", "He's variance 2/n for leaky relu.", "2/((1 + alpha^2) n).", _leaky_variance),
    Erratum("E40", "I", "Never begin with zeros; equal weights give equal features.",
            "True of the weights of hidden units; biases, offsets and the last scale of a branch may begin at 0.",
            _symmetry),
    Erratum("E45", "I", "Batch normalization prevents vanishing and exploding, by way of the covariate shift.",
            "A plain deep net with it explodes when it begins; how it helps is disputed.", _normalized),
    Erratum("E52", "I", "Gradients vanish because slopes of activations multiply.",
            "Slopes times weights do; tanh has slope 1 at 0.", _derivatives_times_weights),
    Erratum("E55", "I", "Relu and cross-entropy for recurrent nets.",
            "Sigmoid gates and tanh states; relu takes identity weights or clipping.", _recurrent),
)  # fmt: skip

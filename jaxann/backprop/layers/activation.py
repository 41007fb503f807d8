"""Backward rules of the activation layers, and of the dense layers with an activation of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxann import activations, layers, ops
from jaxann.backprop.layers.dense import dense_vjp, rows, sum_of_rows
from jaxann.backprop.registry import activation_vjp, layer_rule, through_activation
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.products import Layer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = []

_VERB = "backprop.backward"


@layer_rule(layers.rrelu, activation=True)
def _rrelu(call: Call) -> Step:
    """y = x for x >= 0, else a x:  dC/dx = G for x >= 0, else a G, with the a of the forward pass: the same key."""
    y, state = call.apply()
    settings = {**call.layer.arguments, "key": call.key if call.train else None}
    rule, _ = activation_vjp(activations.rrelu, _VERB, "activation")
    function = functools.partial(activations.rrelu, **settings)
    return Step(y, state, lambda g: Cotangents(through_activation(function, rule, settings, call.x, y, g), {}))


@layer_rule(layers.prelu, activation=True)
def _prelu(call: Call) -> Step:
    """y = x for x >= 0, else alpha x:  dC/dx = G for x >= 0, else alpha G;  dC/dalpha = sum of x G where x < 0.

    The sum runs over everything that the alpha multiplied: all examples, and all channels where they share it.
    """
    y, state = call.apply()
    x, alpha = call.x, call.params["alpha"]

    def vjp(g: Array) -> Cotangents:
        rule, _ = activation_vjp(activations.prelu, _VERB, "activation")
        function = functools.partial(activations.prelu, alpha=alpha)
        by_alpha = jnp.where(x < 0, x, jnp.zeros((), x.dtype)) * g
        grads = {"alpha": _sum_to(alpha, by_alpha)}
        return Cotangents(through_activation(function, rule, {"alpha": alpha}, x, y, g), grads)

    return Step(y, state, vjp)


@layer_rule(layers.swish, activation=True)
def _swish(call: Call) -> Step:
    """y = x s, s = sigmoid(beta x):  dC/dx = G (s + beta x s (1 - s));  dC/dbeta = sum of G x^2 s (1 - s)."""
    y, state = call.apply()
    beta = call.params["beta"]

    def vjp(g: Array) -> Cotangents:
        wide = wide_dtype(call.x.dtype)
        x, b, upper = call.x.astype(wide), beta.astype(wide), g.astype(wide)
        s = activations.sigmoid(x * jnp.broadcast_to(b, x.shape))
        near = jnp.where(jnp.isinf(x), 0, x)
        by_x = s + jnp.where(jnp.isinf(x), 0, x * jnp.broadcast_to(b, x.shape)) * s * (1 - s)
        grads = {"beta": _sum_to(beta, upper * near * (near * (s * (1 - s))))}
        return Cotangents((upper * by_x).astype(call.x.dtype), grads)

    return Step(y, state, vjp)


def _function(layer: Layer) -> Callable:
    return activations.by_name(layer.arguments["activation"])


@layer_rule(layers.parametric_activation, activation=True, function=_function)
def _parametric_activation(call: Call) -> Step:
    """y = x + alpha (f(x) - x):  dC/dx = (1 - alpha) G + alpha G f'(x);  dC/dalpha = sum of G (f(x) - x)."""
    y, state = call.apply()
    function, alpha = _function(call.layer), call.params["alpha"]
    rule, settings = activation_vjp(function, _VERB, "activation")

    def vjp(g: Array) -> Cotangents:
        wide = wide_dtype(call.x.dtype)
        x, upper = call.x.astype(wide), g.astype(wide)
        share, f = jnp.broadcast_to(alpha.astype(wide), x.shape), function(x)
        by_x = upper - share * upper + through_activation(function, rule, settings, x, f, share * upper)
        return Cotangents(by_x.astype(call.x.dtype), {"alpha": _sum_to(alpha, upper * (f - x))})

    return Step(y, state, vjp)


@layer_rule(layers.maxout)
def _maxout(call: Call) -> Step:
    """Z = A W + b, y_i = max_j Z_ij:  D_ij = G_i for the greatest piece, 0 for the others; then the dense rule.

    Pieces that tie share G_i evenly. Only the piece that won learns from an example.
    """
    return _dense_then(call, functools.partial(activations.maxout, k=call.layer.arguments["k"]))


@layer_rule(layers.gated_dense)
def _gated_dense(call: Call) -> Step:
    """Z = A W + b = [P, Q], y = P g(Q):  D = [G g(Q), G P g'(Q)]; then the dense rule."""
    settings = call.layer.arguments
    gate: Any = activations.by_name(settings["gate"])
    return _dense_then(call, functools.partial(gate, gate_first=settings["gate_first"]))


def _dense_then(call: Call, function: functools.partial) -> Step:
    y, state = call.apply()
    z = ops.dense(call.x, call.params["weight"], call.params.get("bias"))

    def vjp(g: Array) -> Cotangents:
        rule, settings = activation_vjp(function, _VERB, "activation")
        return dense_vjp(call.x, call.params, through_activation(function, rule, settings, z, y, g))

    return Step(y, state, vjp, z)


def _sum_to(parameter: Array, terms: Array) -> Array:
    """The sum over everything that shares a number: all, or all axes but the last."""
    whole = sum_of_rows(terms) if parameter.ndim else jnp.sum(rows(terms), dtype=wide_dtype(terms.dtype))
    return whole.astype(parameter.dtype)

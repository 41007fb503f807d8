"""Backward rules of the gated linear units, in `activations/gated.py`: y = a g(b), a and b the halves of an axis.

    dC/da = G g(b),    dC/db = G a g'(b)

Both halves are written side by side again, in the order they came in.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from jaxann import activations
from jaxann.backprop.activations.rectifiers import relu_derivative
from jaxann.backprop.activations.smooth import gelu_derivative, silu_derivative
from jaxann.backprop.registry import activation_rule
from jaxann.core.typing import Array, Scalar

__all__ = []


@activation_rule(activations.glu)
def _glu(g: Array, x: Array, y: Array, *, axis: int = -1, gate_first: bool = False) -> Array:
    """g(b) = s = sigmoid(b):  g' = s (1 - s)."""
    return _gated(g, x, axis, gate_first, lax.logistic, lambda b, s: s * (1 - s))


@activation_rule(activations.reglu)
def _reglu(g: Array, x: Array, y: Array, *, axis: int = -1, gate_first: bool = False) -> Array:
    """g(b) = relu(b):  g' = 1 for b > 0, else 0."""
    return _gated(g, x, axis, gate_first, activations.relu, relu_derivative)


@activation_rule(activations.geglu)
def _geglu(
    g: Array, x: Array, y: Array, *, axis: int = -1, gate_first: bool = False, approximate: bool = True
) -> Array:
    """g(b) = gelu(b)."""

    def derivative(b: Array, opening: Array) -> Array:
        return gelu_derivative(b, opening, approximate=approximate)

    return _gated(g, x, axis, gate_first, lambda b: activations.gelu(b, approximate), derivative)


@activation_rule(activations.swiglu)
def _swiglu(g: Array, x: Array, y: Array, *, axis: int = -1, gate_first: bool = False, beta: Scalar = 1.0) -> Array:
    """g(b) = b sigmoid(beta b)."""

    def derivative(b: Array, opening: Array) -> Array:
        return silu_derivative(b, opening, beta=beta)

    return _gated(g, x, axis, gate_first, lambda b: activations.silu(b, beta), derivative)


@activation_rule(activations.bilinear)
def _bilinear(g: Array, x: Array, y: Array, *, axis: int = -1, gate_first: bool = False) -> Array:
    """g(b) = b:  g' = 1."""
    return _gated(g, x, axis, gate_first, lambda b: b, lambda b, opening: jnp.ones_like(b))


def _gated(
    g: Array, x: Array, axis: int, gate_first: bool, gate: Callable[[Array], Array], derivative: Callable[..., Array]
) -> Array:
    first, second = jnp.split(x, 2, axis)
    a, b = (second, first) if gate_first else (first, second)
    opening = gate(b)
    by_a, by_b = g * opening, g * a * derivative(b, opening)
    return jnp.concatenate([by_b, by_a] if gate_first else [by_a, by_b], axis)

"""Backward rules of the gated linear units: y = a g(b), a and b the halves of an axis.

    dC/da = G g(b),    dC/db = G a g'(b)

Both halves are written side by side again, in the order they came in.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from jaxann import activations
from jaxann.backprop import slopes_rectifiers, slopes_smooth
from jaxann.core.typing import Array, Scalar

__all__ = ["PULLS"]


def _gated(
    g: Array, x: Array, axis: int, gate_first: bool, gate: Callable[[Array], Array], slope: Callable[..., Array]
) -> Array:
    first, second = jnp.split(x, 2, axis)
    a, b = (second, first) if gate_first else (first, second)
    opening = gate(b)
    by_a, by_b = g * opening, g * a * slope(b, opening)
    return jnp.concatenate([by_b, by_a] if gate_first else [by_a, by_b], axis)


def _glu(g: Array, x: Array, y: Array, *, axis: int = -1, gate_first: bool = False) -> Array:
    """g(b) = s = sigmoid(b):  g' = s (1 - s)."""
    return _gated(g, x, axis, gate_first, lax.logistic, lambda b, s: s * (1 - s))


def _reglu(g: Array, x: Array, y: Array, *, axis: int = -1, gate_first: bool = False) -> Array:
    """g(b) = relu(b):  g' = 1 for b > 0, else 0."""
    return _gated(g, x, axis, gate_first, activations.relu, slopes_rectifiers.relu)


def _geglu(
    g: Array, x: Array, y: Array, *, axis: int = -1, gate_first: bool = False, approximate: bool = True
) -> Array:
    """g(b) = gelu(b)."""

    def slope(b: Array, opening: Array) -> Array:
        return slopes_smooth.gelu(b, opening, approximate=approximate)

    return _gated(g, x, axis, gate_first, lambda b: activations.gelu(b, approximate), slope)


def _swiglu(g: Array, x: Array, y: Array, *, axis: int = -1, gate_first: bool = False, beta: Scalar = 1.0) -> Array:
    """g(b) = b sigmoid(beta b)."""

    def slope(b: Array, opening: Array) -> Array:
        return slopes_smooth.silu(b, opening, beta=beta)

    return _gated(g, x, axis, gate_first, lambda b: activations.silu(b, beta), slope)


def _bilinear(g: Array, x: Array, y: Array, *, axis: int = -1, gate_first: bool = False) -> Array:
    """g(b) = b:  g' = 1."""
    return _gated(g, x, axis, gate_first, lambda b: b, lambda b, opening: jnp.ones_like(b))


PULLS = {"bilinear": _bilinear, "geglu": _geglu, "glu": _glu, "reglu": _reglu, "swiglu": _swiglu}

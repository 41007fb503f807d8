"""Derivatives of the activations in `activations/sigmoid.py`, `derivative(x, y, **settings)` with y = f(x).

Where the derivative is a formula of y (the sigmoid, tanh) the forward pass has done the work. A comparison would pass
NaN unseen: `nan_or` keeps it, as the activations do.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann import activations
from jaxann.activations.rules import nan_or
from jaxann.backprop.registry import activation_derivative
from jaxann.core.typing import Array, Scalar

__all__ = []


@activation_derivative(activations.identity)
def _identity(x: Array, y: Array) -> Array:
    """f = x:  f' = 1."""
    return jnp.ones_like(x)


@activation_derivative(activations.sigmoid)
def _sigmoid(x: Array, y: Array, *, beta: Scalar = 1.0) -> Array:
    """f = 1 / (1 + e^(-b x)):  f' = b e^(-b x) / (1 + e^(-b x))^2 = b f (1 - f)."""
    return jnp.asarray(beta, x.dtype) * y * (1 - y)


@activation_derivative(activations.log_sigmoid)
def _log_sigmoid(x: Array, y: Array) -> Array:
    """f = -log(1 + e^-x):  f' = e^-x / (1 + e^-x) = sigmoid(-x)."""
    return lax.logistic(-x)


@activation_derivative(activations.hard_sigmoid)
def _hard_sigmoid(x: Array, y: Array) -> Array:
    """f = min(max(x + 3, 0), 6) / 6:  f' = 1/6 for |x| < 3, else 0."""
    return nan_or(x, jnp.where(jnp.abs(x) < 3, 1 / 6, 0).astype(x.dtype))


@activation_derivative(activations.tanh)
def _tanh(x: Array, y: Array) -> Array:
    """f = sinh / cosh:  f' = (cosh^2 - sinh^2) / cosh^2 = 1 - f^2."""
    return 1 - y * y


@activation_derivative(activations.hard_tanh)
def _hard_tanh(x: Array, y: Array, *, low: Scalar = -1.0, high: Scalar = 1.0) -> Array:
    """f = min(max(x, low), high):  f' = 1 for low <= x <= high, else 0."""
    outside = (x < jnp.asarray(low, x.dtype)) | (x > jnp.asarray(high, x.dtype))
    return nan_or(x, (~outside).astype(x.dtype))


@activation_derivative(activations.softsign)
def _softsign(x: Array, y: Array) -> Array:
    """f = x / (1 + |x|):  f' = (1 + |x| - |x|) / (1 + |x|)^2 = 1 / (1 + |x|)^2."""
    once = 1 / (1 + jnp.abs(x))
    return once * once

"""Derivatives of the activations in `activations/rectifiers.py`, `derivative(x, y, **settings)` with y = f(x).

A comparison would pass NaN unseen: `nan_or` keeps it, as the activations do.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann import activations
from jaxann.activations.rules import nan_or
from jaxann.backprop.registry import activation_derivative
from jaxann.core.typing import Array, Key, Scalar

__all__ = ["relu_derivative"]


_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


@activation_derivative(activations.relu)
def relu_derivative(x: Array, y: Array) -> Array:
    """f = max(0, x):  f' = 1 for x > 0, else 0."""
    return _flags(x, x > 0)


@activation_derivative(activations.relu6)
def _relu6(x: Array, y: Array) -> Array:
    """f = min(max(x, 0), 6):  f' = 1 for 0 < x < 6, else 0."""
    return _flags(x, (x > 0) & (x < 6))


@activation_derivative(activations.relu_squared)
def _relu_squared(x: Array, y: Array) -> Array:
    """f = max(0, x)^2:  f' = 2 max(0, x)."""
    return 2 * jnp.where(x <= 0, 0, x)


@activation_derivative(activations.leaky_relu)
def _leaky_relu(x: Array, y: Array, *, negative_slope: Scalar = 0.01) -> Array:
    """f = x for x >= 0, else s x:  f' = 1 for x >= 0, else s."""
    return _leaky(x, y, negative=negative_slope)


@activation_derivative(activations.prelu)
def _prelu(x: Array, y: Array, *, alpha: Scalar | Array) -> Array:
    """f = x for x >= 0, else a x:  f' = 1 for x >= 0, else a (of the channel)."""
    return _leaky(x, y, negative=jnp.broadcast_to(jnp.asarray(alpha), x.shape))


@activation_derivative(activations.rrelu)
def _rrelu(x: Array, y: Array, *, lower: Scalar = 1 / 8, upper: Scalar = 1 / 3, key: Key | None = None) -> Array:
    """f = x for x >= 0, else a x:  f' = 1 for x >= 0, else a, the a that was drawn forward (the key draws it again)."""
    if key is None:
        return _leaky(x, y, negative=(lower + upper) / 2)
    low, high = jnp.asarray(lower, x.dtype), jnp.asarray(upper, x.dtype)
    return _leaky(x, y, negative=low + (high - low) * jax.random.uniform(key, x.shape).astype(x.dtype))


@activation_derivative(activations.elu)
def _elu(x: Array, y: Array, *, alpha: Scalar = 1.0) -> Array:
    """f = x for x > 0, else a (e^x - 1):  f' = 1 for x > 0, else a e^x = f + a."""
    return jnp.where(x > 0, 1, jnp.asarray(alpha, x.dtype) * jnp.exp(_below(x)))


@activation_derivative(activations.celu)
def _celu(x: Array, y: Array, *, alpha: Scalar = 1.0) -> Array:
    """f = x for x > 0, else a (e^(x/a) - 1):  f' = 1 for x > 0, else e^(x/a)."""
    return jnp.exp(_below(x) / jnp.asarray(alpha, x.dtype))


@activation_derivative(activations.selu)
def _selu(x: Array, y: Array) -> Array:
    """f = s x for x > 0, else s a (e^x - 1):  f' = s for x > 0, else s a e^x."""
    return jnp.where(x > 0, _SELU_SCALE, _SELU_SCALE * _SELU_ALPHA * jnp.exp(_below(x))).astype(x.dtype)


def _flags(x: Array, where: Array) -> Array:
    return nan_or(x, where.astype(x.dtype))


def _leaky(x: Array, y: Array, *, negative: Scalar | Array) -> Array:
    """f = x for x >= 0, else s x:  f' = 1 for x >= 0, else s."""
    return nan_or(x, jnp.where(x >= 0, jnp.ones_like(x), jnp.asarray(negative, x.dtype)))


def _below(x: Array) -> Array:
    return jnp.where(x > 0, 0, x)

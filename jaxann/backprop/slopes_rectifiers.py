"""Slopes of the activations made of straight or bent pieces, `slope(x, y, **settings)` with y = f(x).

A comparison would pass NaN unseen: `nan_or` keeps it, as the activations do.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.activations.rules import nan_or
from jaxann.core.typing import Array, Key, Scalar

__all__ = ["SLOPES", "relu"]

_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


def _flags(x: Array, where: Array) -> Array:
    return nan_or(x, where.astype(x.dtype))


def _identity(x: Array, y: Array) -> Array:
    """f = x:  f' = 1."""
    return jnp.ones_like(x)


def _flat(x: Array, y: Array, **settings: Scalar) -> Array:
    """f = a step:  f' = 0 everywhere, the jump too. Nothing learns through it."""
    return jnp.zeros_like(x)


def relu(x: Array, y: Array) -> Array:
    """f = max(0, x):  f' = 1 for x > 0, else 0."""
    return _flags(x, x > 0)


def _relu6(x: Array, y: Array) -> Array:
    """f = min(max(x, 0), 6):  f' = 1 for 0 < x < 6, else 0."""
    return _flags(x, (x > 0) & (x < 6))


def _relu_squared(x: Array, y: Array) -> Array:
    """f = max(0, x)^2:  f' = 2 max(0, x)."""
    return 2 * jnp.where(x <= 0, 0, x)


def _leaky(x: Array, y: Array, *, slope: Scalar | Array) -> Array:
    """f = x for x >= 0, else s x:  f' = 1 for x >= 0, else s."""
    return nan_or(x, jnp.where(x >= 0, jnp.ones_like(x), jnp.asarray(slope, x.dtype)))


def _leaky_relu(x: Array, y: Array, *, negative_slope: Scalar = 0.01) -> Array:
    """f = x for x >= 0, else s x:  f' = 1 for x >= 0, else s."""
    return _leaky(x, y, slope=negative_slope)


def _prelu(x: Array, y: Array, *, alpha: Scalar | Array) -> Array:
    """f = x for x >= 0, else a x:  f' = 1 for x >= 0, else a (of the channel)."""
    return _leaky(x, y, slope=jnp.broadcast_to(jnp.asarray(alpha), x.shape))


def _rrelu(x: Array, y: Array, *, lower: Scalar = 1 / 8, upper: Scalar = 1 / 3, key: Key | None = None) -> Array:
    """f = x for x >= 0, else a x:  f' = 1 for x >= 0, else a, the a that was drawn forward (the key draws it again)."""
    if key is None:
        return _leaky(x, y, slope=(lower + upper) / 2)
    low, high = jnp.asarray(lower, x.dtype), jnp.asarray(upper, x.dtype)
    return _leaky(x, y, slope=low + (high - low) * jax.random.uniform(key, x.shape).astype(x.dtype))


def _hard_tanh(x: Array, y: Array, *, low: Scalar = -1.0, high: Scalar = 1.0) -> Array:
    """f = min(max(x, low), high):  f' = 1 for low <= x <= high, else 0."""
    return _flags(x, ~((x < jnp.asarray(low, x.dtype)) | (x > jnp.asarray(high, x.dtype))))


def _hard_sigmoid(x: Array, y: Array) -> Array:
    """f = min(max(x + 3, 0), 6) / 6:  f' = 1/6 for |x| < 3, else 0."""
    return nan_or(x, jnp.where(jnp.abs(x) < 3, 1 / 6, 0).astype(x.dtype))


def _hard_swish(x: Array, y: Array) -> Array:
    """f = x min(max(x + 3, 0), 6) / 6:  f' = (2x + 3) / 6 for |x| < 3, 0 below, 1 above; 0 at -3, 1 at 3."""
    inside = (2 * jnp.clip(x, -3, 3) + 3) / 6
    return jnp.where(x <= -3, 0, jnp.where(x >= 3, 1, inside))


def _below(x: Array) -> Array:
    return jnp.where(x > 0, 0, x)


def _elu(x: Array, y: Array, *, alpha: Scalar = 1.0) -> Array:
    """f = x for x > 0, else a (e^x - 1):  f' = 1 for x > 0, else a e^x = f + a."""
    return jnp.where(x > 0, 1, jnp.asarray(alpha, x.dtype) * jnp.exp(_below(x)))


def _celu(x: Array, y: Array, *, alpha: Scalar = 1.0) -> Array:
    """f = x for x > 0, else a (e^(x/a) - 1):  f' = 1 for x > 0, else e^(x/a)."""
    return jnp.exp(_below(x) / jnp.asarray(alpha, x.dtype))


def _selu(x: Array, y: Array) -> Array:
    """f = s x for x > 0, else s a (e^x - 1):  f' = s for x > 0, else s a e^x."""
    return jnp.where(x > 0, _SELU_SCALE, _SELU_SCALE * _SELU_ALPHA * jnp.exp(_below(x))).astype(x.dtype)


SLOPES = {
    "celu": _celu,
    "elu": _elu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
    "hard_tanh": _hard_tanh,
    "heaviside": _flat,
    "identity": _identity,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "relu": relu,
    "relu6": _relu6,
    "relu_squared": _relu_squared,
    "rrelu": _rrelu,
    "selu": _selu,
    "sign": _flat,
}

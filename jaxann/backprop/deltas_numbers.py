"""Slopes of the losses of numbers, `slope(predictions, targets, **settings)`; r = prediction - target."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.typing import Array, Scalar

__all__ = ["SLOPES"]


def _absolute_error(predictions: Array, targets: Array) -> Array:
    """l = |r|:  dl/dr = sign(r), 0 at r = 0."""
    return jnp.sign(predictions - targets)


def _squared_error(predictions: Array, targets: Array) -> Array:
    """l = r^2:  dl/dr = 2 r."""
    return 2 * (predictions - targets)


def _half_squared_error(predictions: Array, targets: Array) -> Array:
    """l = r^2 / 2:  dl/dr = r = prediction - target, in this order."""
    return predictions - targets


def _huber(predictions: Array, targets: Array, *, delta: Scalar = 1.0) -> Array:
    """l = r^2 / 2 for |r| <= d, else d (|r| - d / 2):  dl/dr = r cut to [-d, d]."""
    d = jnp.asarray(delta, predictions.dtype)
    return jnp.clip(predictions - targets, -d, d)


def _log_cosh(predictions: Array, targets: Array) -> Array:
    """l = log cosh r:  dl/dr = sinh r / cosh r = tanh r."""
    return jnp.tanh(predictions - targets)


def _quantile(predictions: Array, targets: Array, *, q: Any = 0.5) -> Array:
    """l = q e for e > 0, (q - 1) e for e < 0, e = -r:  dl/dr = -q for e > 0, 1 - q for e < 0, 0 at 0.

    With several q the last axis of the predictions holds one for each.
    """
    levels = jnp.stack([jnp.asarray(level) for level in q]) if isinstance(q, list | tuple) else jnp.asarray(q)
    q = jnp.broadcast_to(levels.astype(predictions.dtype), predictions.shape)
    if np.ndim(levels):
        targets = jnp.broadcast_to(lax.expand_dims(targets, [targets.ndim]), predictions.shape)
    e = targets - predictions
    return jnp.where(e > 0, -q, jnp.where(e < 0, 1 - q, 0))


def _poisson_nll(
    predictions: Array, targets: Array, *, log_input: bool = True, full: bool = False, eps: Scalar = 1e-8
) -> Array:
    """l = e^z - y z:  dl/dz = e^z - y.  Of a rate, l = m - y log(m + eps):  dl/dm = 1 - y / (m + eps)."""
    if log_input:
        return jnp.exp(predictions) - targets
    return 1 - targets / (predictions + jnp.asarray(eps, predictions.dtype))


SLOPES = {
    "absolute_error": _absolute_error,
    "half_squared_error": _half_squared_error,
    "huber": _huber,
    "log_cosh": _log_cosh,
    "poisson_nll": _poisson_nll,
    "quantile": _quantile,
    "squared_error": _squared_error,
}

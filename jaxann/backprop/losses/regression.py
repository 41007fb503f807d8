"""Derivatives of the losses of numbers; r = prediction - target."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.typing import Array, Scalar

__all__ = []


@loss_derivative(losses.absolute_error)
def _absolute_error(predictions: Array, targets: Array) -> Array:
    """l = |r|:  dl/dr = sign(r), 0 at r = 0."""
    return jnp.sign(predictions - targets)


@loss_derivative(losses.squared_error)
def _squared_error(predictions: Array, targets: Array) -> Array:
    """l = r^2:  dl/dr = 2 r."""
    return 2 * (predictions - targets)


@loss_derivative(losses.half_squared_error)
def _half_squared_error(predictions: Array, targets: Array) -> Array:
    """l = r^2 / 2:  dl/dr = r = prediction - target, in this order."""
    return predictions - targets


@loss_derivative(losses.huber)
def _huber(predictions: Array, targets: Array, *, delta: Scalar = 1.0) -> Array:
    """l = r^2 / 2 for |r| <= d, else d (|r| - d / 2):  dl/dr = r cut to [-d, d]."""
    d = jnp.asarray(delta, predictions.dtype)
    return jnp.clip(predictions - targets, -d, d)


@loss_derivative(losses.log_cosh)
def _log_cosh(predictions: Array, targets: Array) -> Array:
    """l = log cosh r:  dl/dr = sinh r / cosh r = tanh r."""
    return jnp.tanh(predictions - targets)


@loss_derivative(losses.quantile)
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

"""The derivative of the loss of overlap."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.typing import Array, Scalar

__all__ = []


@loss_derivative(losses.dice)
def _dice(predictions: Array, targets: Array, *, smooth: Scalar = 1.0) -> Array:
    """l = 1 - B / T, B = 2 sum p y + s, T = sum p + sum y + s, p = sigmoid(z):

    dl/dz_i = p_i (1 - p_i) (B / T - 2 y_i) / T
    """
    s = jnp.asarray(smooth, predictions.dtype)
    p = lax.logistic(predictions)
    both = 2 * jnp.sum(p * targets, -1, keepdims=True) + s
    total = jnp.sum(p, -1, keepdims=True) + jnp.sum(targets, -1, keepdims=True) + s
    safe = jnp.where(total == 0, 1, total)
    return jnp.where(total == 0, 0, p * (1 - p) * (both / safe - 2 * targets) / safe)

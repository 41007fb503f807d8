"""Derivatives of the losses of probabilities, for each row or element."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.typing import Array, Scalar
from jaxann.losses.probabilities import floor_of

__all__ = []


@loss_derivative(losses.cross_entropy_probs)
def _cross_entropy_probs(predictions: Array, targets: Array, *, eps: Scalar | None = None) -> Array:
    """l = -sum y log p, p held in [eps, 1]:  dl/dp = -y / p inside, 0 where it is held."""
    inside = ~((predictions < floor_of("cross_entropy_probs", eps, predictions)) | (predictions > 1))
    return jnp.where(inside, -targets / jnp.where(inside, predictions, 1), 0)


@loss_derivative(losses.binary_cross_entropy_probs)
def _binary_cross_entropy_probs(predictions: Array, targets: Array, *, eps: Scalar | None = None) -> Array:
    """l = -y log p - (1 - y) log(1 - p):  dl/dp = -y / p + (1 - y) / (1 - p) = (p - y) / (p (1 - p)).

    A term whose logarithm is held at log eps, or whose p is outside [0, 1], has the slope 0.
    """
    floor = floor_of("binary_cross_entropy_probs", eps, predictions)
    inside = ~((predictions < 0) | (predictions > 1))
    p = jnp.where(inside, predictions, 0.5)
    by_p = jnp.where(p < floor, 0, -targets / jnp.where(p < floor, 1, p))
    rest = 1 - p
    by_rest = jnp.where(rest < floor, 0, (1 - targets) / jnp.where(rest < floor, 1, rest))
    return jnp.where(inside, by_p + by_rest, 0)

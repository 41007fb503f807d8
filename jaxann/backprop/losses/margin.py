"""Derivatives of the losses of margins."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.typing import Array, Scalar
from jaxann.losses.inputs import hits

__all__ = []


@loss_derivative(losses.hinge)
def _hinge(predictions: Array, targets: Array) -> Array:
    """l = max(0, 1 - y s):  dl/ds = -y where y s < 1, else 0."""
    return jnp.where(1 - predictions * targets > 0, -targets, 0)


@loss_derivative(losses.squared_hinge)
def _squared_hinge(predictions: Array, targets: Array) -> Array:
    """l = max(0, 1 - y s)^2:  dl/ds = -2 y max(0, 1 - y s)."""
    short = 1 - predictions * targets
    return -2 * targets * jnp.where(short > 0, short, 0)


@loss_derivative(losses.perceptron)
def _perceptron(predictions: Array, targets: Array) -> Array:
    """l = max(0, -y s):  dl/ds = -y where y s <= 0, else 0: a descent along it is the perceptron rule."""
    return jnp.where(predictions * targets > 0, 0, -targets)


@loss_derivative(losses.multiclass_hinge)
def _multiclass_hinge(
    predictions: Array, targets: Array, *, margin: Scalar = 1.0, kind: str = "crammer_singer"
) -> Array:
    """l = max(0, max_{k != y} c_k), c_k = m + s_k - s_y:  1 for the worst rival that leads, -1 for y.

    Rivals that tie share the 1. Of l = sum_{k != y} max(0, c_k) ("weston_watkins"): 1 for each rival that leads, and
    -(their number) for y. 0 for a label that is no class.
    """
    own = hits(targets, predictions.shape[-1])
    score = jnp.sum(jnp.where(own, predictions, 0), -1, keepdims=True)
    lead = jnp.where(own, -jnp.inf, jnp.asarray(margin, predictions.dtype) + (predictions - score))
    if kind == "crammer_singer":
        worst = jnp.max(lead, -1, keepdims=True, initial=-jnp.inf)
        tied = ((lead == worst) & (worst > 0)).astype(predictions.dtype)
        rivals = tied / jnp.maximum(jnp.sum(tied, -1, keepdims=True), 1)
    else:
        rivals = (lead > 0).astype(predictions.dtype)
    known = jnp.any(own, -1, keepdims=True) & ~jnp.any(jnp.isnan(predictions), -1, keepdims=True)
    return jnp.where(known, rivals - jnp.where(own, jnp.sum(rivals, -1, keepdims=True), 0), 0)

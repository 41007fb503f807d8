"""Derivatives of the losses that compare distributions, for each row."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.typing import Array, Scalar
from jaxann.losses.probabilities import floor_of

__all__ = []


@loss_derivative(losses.kl_divergence)
def _kl_divergence(predictions: Array, targets: Array) -> Array:
    """l = sum p (log p - log q), prediction log q:  dl/dlog q = -p."""
    return -targets


@loss_derivative(losses.reverse_kl_divergence)
def _reverse_kl_divergence(predictions: Array, targets: Array, *, eps: Scalar | None = None) -> Array:
    """l = sum q (log q - log p), prediction log q, dq/dlog q = q:  dl/dlog q = q (log q - log p + 1); 0 at q = 0."""
    floor = floor_of("reverse_kl_divergence", eps, predictions)
    absent = jnp.isneginf(predictions)
    log_q = jnp.where(absent, 0, predictions)
    log_p = jnp.log(jnp.where(targets < floor, floor, targets))
    return jnp.where(absent, 0, jnp.exp(log_q) * (log_q - log_p + 1))


@loss_derivative(losses.jensen_shannon_divergence)
def _jensen_shannon_divergence(predictions: Array, targets: Array) -> Array:
    """l = sum (p log(p / m) + q log(q / m)) / 2, m = (p + q) / 2:  dl/dlog q = q (log q - log m) / 2.

    What m adds is -(p + q) / (4 m) q + q / 2 = 0: the middle is the best of all distributions for both.
    """
    q = jnp.exp(predictions)
    none = q == 0
    log_middle = jnp.log(jnp.where(none, 1, (targets + q) / 2))
    return jnp.where(none, 0, q * (jnp.where(none, 0, predictions) - log_middle)) / 2

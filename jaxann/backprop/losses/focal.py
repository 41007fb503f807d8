"""Derivatives of the losses that weigh an example by how sure its prediction is."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.logits import log_sum_exp, softmax
from jaxann.core.typing import Array, Scalar
from jaxann.losses.inputs import hits

__all__ = []


@loss_derivative(losses.sigmoid_focal)
def _sigmoid_focal(predictions: Array, targets: Array, *, gamma: Scalar = 2.0, alpha: Scalar | None = None) -> Array:
    """l = a y q^g (-log p) + (1 - a) (1 - y) p^g (-log q), p = s(z), q = s(-z); dp/dz = p q:

    dl/dz = a y q^g (g p log p - q) + (1 - a) (1 - y) p^g (p - g q log q)
    """
    g = jnp.asarray(gamma, predictions.dtype)
    p, q = lax.logistic(predictions), lax.logistic(-predictions)
    minus_log_q, minus_log_p = jax.nn.softplus(predictions), jax.nn.softplus(-predictions)
    positive = targets * jnp.exp(-g * minus_log_q) * (-g * p * minus_log_p - q)
    negative = (1 - targets) * jnp.exp(-g * minus_log_p) * (p + g * q * minus_log_q)
    if alpha is None:
        return positive + negative
    a = jnp.asarray(alpha, predictions.dtype)
    return a * positive + (1 - a) * negative


@loss_derivative(losses.softmax_focal)
def _softmax_focal(predictions: Array, targets: Array, *, gamma: Scalar = 2.0, alpha: Any = None) -> Array:
    """l = a_y q^g (-log p), p = p_y, q = 1 - p. With d = z_y - log sum_{k != y} e^(z_k): p = s(d), q = s(-d), and

    dl/dd = a_y q^g (g p log p - q),   dd/dz_y = 1,   dd/dz_k = -softmax of the others
    """
    g = jnp.asarray(gamma, predictions.dtype)
    own = hits(targets, predictions.shape[-1])
    others = jnp.where(own, -jnp.inf, predictions)
    alone = jnp.all(jnp.isneginf(others), -1, keepdims=True)
    shares = softmax(jnp.where(alone, 0, others))
    log_rest = lax.expand_dims(log_sum_exp(jnp.where(alone, 0, others)), [predictions.ndim - 1])
    lead = jnp.where(alone, 0, jnp.sum(jnp.where(own, predictions, 0), -1, keepdims=True) - log_rest)
    minus_log_q, minus_log_p = jax.nn.softplus(lead), jax.nn.softplus(-lead)
    by_lead = jnp.exp(-g * minus_log_q) * (-g * lax.logistic(lead) * minus_log_p - lax.logistic(-lead))
    if alpha is not None:
        table = jnp.broadcast_to(jnp.asarray(alpha, predictions.dtype), own.shape)
        by_lead = by_lead * jnp.sum(jnp.where(own, table, 0), -1, keepdims=True)
    known = jnp.any(own, -1, keepdims=True) & ~alone
    return jnp.where(known, by_lead * jnp.where(own, 1, -shares), 0)


@loss_derivative(losses.poly1)
def _poly1(predictions: Array, targets: Array, *, epsilon: Scalar = 2.0) -> Array:
    """l = -log p_y + e (1 - p_y):  dl/dlog p_y = -(1 + e p_y),  dlog p_y/dz = onehot(y) - p."""
    own = hits(targets, predictions.shape[-1])
    p = softmax(predictions)
    likely = jnp.sum(jnp.where(own, p, 0), -1, keepdims=True)
    found = (1 + jnp.asarray(epsilon, predictions.dtype) * likely) * (p - own.astype(p.dtype))
    return jnp.where(jnp.any(own, -1, keepdims=True), found, 0)

"""Slopes of the losses that compare laws, `slope(predictions, targets, **settings)` for each row or element."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann.core.typing import Array, Scalar
from jaxann.losses.probabilities import floor_of

__all__ = ["SLOPES"]


def _cross_entropy_probs(predictions: Array, targets: Array, *, eps: Scalar | None = None) -> Array:
    """l = -sum y log p, p held in [eps, 1]:  dl/dp = -y / p inside, 0 where it is held."""
    inside = ~((predictions < floor_of("cross_entropy_probs", eps, predictions)) | (predictions > 1))
    return jnp.where(inside, -targets / jnp.where(inside, predictions, 1), 0)


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


def _kl_divergence(predictions: Array, targets: Array) -> Array:
    """l = sum p (log p - log q), prediction log q:  dl/dlog q = -p."""
    return -targets


def _reverse_kl_divergence(predictions: Array, targets: Array, *, eps: Scalar | None = None) -> Array:
    """l = sum q (log q - log p), prediction log q, dq/dlog q = q:  dl/dlog q = q (log q - log p + 1); 0 at q = 0."""
    floor = floor_of("reverse_kl_divergence", eps, predictions)
    absent = jnp.isneginf(predictions)
    log_q = jnp.where(absent, 0, predictions)
    log_p = jnp.log(jnp.where(targets < floor, floor, targets))
    return jnp.where(absent, 0, jnp.exp(log_q) * (log_q - log_p + 1))


def _jensen_shannon_divergence(predictions: Array, targets: Array) -> Array:
    """l = sum (p log(p / m) + q log(q / m)) / 2, m = (p + q) / 2:  dl/dlog q = q (log q - log m) / 2.

    What m adds is -(p + q) / (4 m) q + q / 2 = 0: the middle is the best of all laws for both.
    """
    q = jnp.exp(predictions)
    none = q == 0
    log_middle = jnp.log(jnp.where(none, 1, (targets + q) / 2))
    return jnp.where(none, 0, q * (jnp.where(none, 0, predictions) - log_middle)) / 2


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


def _gaussian_nll(predictions: Array, targets: Array, *, full: bool = False, eps: Scalar = 1e-6) -> Array:
    """l = (s + r^2 e^-s) / 2, r = m - y, for a prediction [m, s]:  [r e^-s, (1 - r^2 e^-s) / 2].

    s is held at log eps from below, and keeps its slope there so that it can come back.
    """
    floor = jnp.log(jnp.asarray(eps, predictions.dtype))
    r, s = predictions[..., 0] - targets, predictions[..., 1]
    precision = jnp.exp(-jnp.where(s < floor, floor, s))
    return jnp.stack([r * precision, (1 - r * r * precision) / 2], -1)


SLOPES = {
    "binary_cross_entropy_probs": _binary_cross_entropy_probs,
    "cross_entropy_probs": _cross_entropy_probs,
    "dice": _dice,
    "gaussian_nll": _gaussian_nll,
    "jensen_shannon_divergence": _jensen_shannon_divergence,
    "kl_divergence": _kl_divergence,
    "reverse_kl_divergence": _reverse_kl_divergence,
}

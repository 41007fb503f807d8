"""Derivatives of the negative log-likelihoods."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.typing import Array, Scalar

__all__ = []


@loss_derivative(losses.poisson_nll)
def _poisson_nll(
    predictions: Array, targets: Array, *, log_input: bool = True, full: bool = False, eps: Scalar = 1e-8
) -> Array:
    """l = e^z - y z:  dl/dz = e^z - y.  Of a rate, l = m - y log(m + eps):  dl/dm = 1 - y / (m + eps)."""
    if log_input:
        return jnp.exp(predictions) - targets
    return 1 - targets / (predictions + jnp.asarray(eps, predictions.dtype))


@loss_derivative(losses.gaussian_nll)
def _gaussian_nll(predictions: Array, targets: Array, *, full: bool = False, eps: Scalar = 1e-6) -> Array:
    """l = (s + r^2 e^-s) / 2, r = m - y, for a prediction [m, s]:  [r e^-s, (1 - r^2 e^-s) / 2].

    s is held at log eps from below, and keeps its slope there so that it can come back.
    """
    floor = jnp.log(jnp.asarray(eps, predictions.dtype))
    r, s = predictions[..., 0] - targets, predictions[..., 1]
    inverse = jnp.exp(-jnp.where(s < floor, floor, s) / 2)
    deviations = r * inverse
    return jnp.stack([deviations * inverse, (1 - deviations * deviations) / 2], -1)

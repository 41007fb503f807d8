"""Derivatives of the activations in `activations/steps.py`."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import activations
from jaxann.backprop.registry import activation_derivative
from jaxann.core.typing import Array, Scalar

__all__ = []


@activation_derivative(activations.sign)
@activation_derivative(activations.heaviside)
def _flat(x: Array, y: Array, **settings: Scalar) -> Array:
    """f = a step:  f' = 0 everywhere, the jump too. Nothing learns through it."""
    return jnp.zeros_like(x)

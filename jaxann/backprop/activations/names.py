"""The backward rule of the estimator that joins two activations, in `activations/names.py`."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from jaxann import activations
from jaxann.backprop.registry import activation_rule, activation_vjp
from jaxann.core.typing import Array

__all__ = []


@activation_rule(activations.straight_through)
def _straight_through(
    g: Array, x: Array, y: Array, *, forward: str | Callable = "heaviside", surrogate: str | Callable = "hard_tanh"
) -> Array:
    """y = forward(x):  dx = (d surrogate/dx)^T g, 0 where the surrogate is not finite."""
    soft = activations.by_name(surrogate)
    vjp, settings = activation_vjp(soft, "backprop.backward", "surrogate of straight_through")
    value = soft(x)
    return vjp(jnp.where(jnp.isfinite(value), g, jnp.zeros((), g.dtype)), x, value, **settings)

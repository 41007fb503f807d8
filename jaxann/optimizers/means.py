"""The two running means that Adam and its kin share, and what is made of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.typing import Array, Params, Scalar
from jaxann.optimizers.base import check_learning_rate, check_not_negative, check_shares, mix, widened, zeros_like

__all__ = ["AdamState", "averaged", "check_means", "over_root", "zero_means"]


class AdamState(NamedTuple):
    """Memory of `adam` and the rules with the same two means."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients
    nu: Params  # mean of the squared gradients, or of the squares the rule names


def check_means(function: str, learning_rate: Any, b1: Scalar, b2: Scalar, **numbers: Scalar) -> None:
    """A rate, two shares in [0, 1), and numbers of at least 0."""
    check_learning_rate(function, learning_rate)
    check_shares(function, b1=b1, b2=b2)
    check_not_negative(function, **numbers)


def zero_means(params: Params) -> AdamState:
    """Both means 0, in float32 or better."""
    return AdamState(jnp.zeros((), jnp.int32), zeros_like(params), zeros_like(params))


def averaged(grads: Params, state: Any, b1: Scalar, b2: Scalar) -> AdamState:
    """m = b1 m + (1-b1) g and v = b2 v + (1-b2) g^2, one step on."""
    grads = widened(grads)
    mu = jax.tree.map(lambda m, g: mix(b1, m, g), state.mu, grads)
    nu = jax.tree.map(lambda v, g: mix(b2, v, g * g), state.nu, grads)
    return AdamState(state.step + 1, mu, nu)


def over_root(m: Array, v: Array, eps: Scalar, eps_root: Scalar = 0.0) -> Array:
    """m / (sqrt(v + eps_root) + eps)."""
    return m / (jnp.sqrt(v + jnp.asarray(eps_root, v.dtype)) + jnp.asarray(eps, v.dtype))

"""The two moments that Adam and its kin keep, moving averages of the gradient and of its square, and their ratio."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule
from jaxann.optimizers.base import (
    bias_correction_factor,
    check_decay_rates,
    check_learning_rate,
    check_not_negative,
    ema_update,
    nonzero,
    zeros_like,
)
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.squares import bounded

__all__ = ["AdamState", "bias_corrected", "check_moments", "scaled_by_rms", "update_moments", "zero_moments"]


class AdamState(NamedTuple):
    """State of `adam` and the rules with the same two moments."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients
    nu: Params  # mean of the squared gradients, or of the squares the rule names


def check_moments(function: str, learning_rate: ScalarOrSchedule, b1: Scalar, b2: Scalar, **numbers: Scalar) -> None:
    """A rate, two decay rates in [0, 1), and numbers of at least 0."""
    check_learning_rate(function, learning_rate)
    check_decay_rates(function, b1=b1, b2=b2)
    check_not_negative(function, **numbers)


def zero_moments(params: Params) -> AdamState:
    """Both moments 0, in float32 or better."""
    return AdamState(jnp.zeros((), jnp.int32), zeros_like(params), zeros_like(params))


def update_moments(grads: Params, state: Any, b1: Scalar, b2: Scalar) -> AdamState:
    """m = b1 m + (1-b1) g and v = b2 v + (1-b2) g^2, one step on."""
    grads = bounded(grads)
    mu = jax.tree.map(lambda m, g: ema_update(b1, m, g), state.mu, grads)
    nu = jax.tree.map(lambda v, g: ema_update(b2, v, g * g), state.nu, grads)
    return AdamState(next_step(state.step), mu, nu)


def bias_corrected(mean: Params, decay: Scalar, step: Array) -> Params:
    """mean / (1 - decay^step), leaf by leaf: what an average that began at 0 is the average of."""
    dtypes = dict.fromkeys(leaf.dtype for leaf in jax.tree.leaves(mean))
    factors = {dtype: bias_correction_factor(decay, step, dtype) for dtype in dtypes}  # one a dtype: less to compile
    return jax.tree.map(lambda a: factors[a.dtype] * a, mean)


def scaled_by_rms(m: Array, v: Array, eps: Scalar, eps_root: Scalar = 0.0) -> Array:
    """m / (sqrt(v + eps_root) + eps)."""
    return m / nonzero(jnp.sqrt(v + jnp.asarray(eps_root, v.dtype)) + jnp.asarray(eps, v.dtype))

"""Sophia: steps over the curvature of each parameter, cut to one size."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_count, check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Key, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    bias_correction_factor,
    check_given,
    descent_with_decay,
    ema_update,
    widened,
    zeros_like,
)
from jaxann.optimizers.counting import is_due, next_step
from jaxann.optimizers.masking import check_selection
from jaxann.optimizers.moments import check_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.schedules import value_at

__all__ = ["SophiaState", "sophia"]


class SophiaState(NamedTuple):
    """State of `sophia`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients
    curvature: Params  # mean of the estimated diagonals of the second derivative


@factory(Optimizer, traits=("decays_by_mask",))
@scheduled("b1", "weight_decay")
def sophia(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.965,
    b2: Scalar = 0.99,
    eps: Scalar = 1e-8,
    gamma: Scalar = 0.01,
    clip_threshold: Scalar | None = 1.0,
    update_interval: Scalar = 10,
    weight_decay: ScheduledScalar = 1e-4,
    mask: Selection = None,
):
    """m = b1 m + (1-b1) g;  update = -learning_rate (clip(m_hat / max(gamma h, eps), -1, 1) + decay w).

    m_hat = m / (1 - b1^t). Every `update_interval` steps, from the first on, h = b2 h + (1-b2) r (H r), where H is the
    objective's second derivative at the parameters and r random signs: in the mean r (H r) is the diagonal of H. The
    step is taken with the h from before; h begins at 0, so the first one goes by the sign of m_hat.

    Args:
        learning_rate: number >= 0, array, or schedule of the step; the greatest step of a parameter, as in `lion`.
        b1, b2: in [0, 1), how slowly the two means forget; b1 may be a schedule of the step.
        eps: the least curvature; where it is not positive the step is cut.
        gamma: scale of the curvature: where 10 % to 50 % of the steps are not cut it is right.
        clip_threshold: what the quotient is cut to; None does not cut it.
        update_interval: steps from one estimate to the next, a whole number >= 1; one estimate costs about two
            gradients.
        weight_decay, mask: as in `adamw`.

    Peers: as optax (with its own random numbers); PyTorch and Keras have none. The paper renews h before the step.

    Source: Liu et al. 2023 (Sophia-H), with signs for normal numbers; Hutchinson 1989.

    Raises:
        InputError: a number is out of range, or `params`, `value_fn` or `key` is missing in the update.
    """
    check_moments("sophia", learning_rate, b1, b2, gamma=gamma, weight_decay=weight_decay)
    check_range("sophia", "eps", eps, 0, open_low=True)
    if clip_threshold is not None:
        check_range("sophia", "clip_threshold", clip_threshold, 0, open_low=True)
    check_count("sophia", "update_interval", update_interval, 1)
    check_selection("sophia", "mask", mask)

    def init(params):
        check_selection("sophia", "mask", mask, params)
        return SophiaState(jnp.zeros((), jnp.int32), zeros_like(params), zeros_like(params))

    def update(grads, state, params, *, value_fn: Any = None, key: Any = None):
        check_given("sophia", "params", params, "they decay")
        check_given("sophia", "value_fn", value_fn, "the curvature is the objective's")
        check_given("sophia", "key", key, "the curvature is estimated with random signs")
        rate = value_at(learning_rate, state.step)
        mu = jax.tree.map(lambda m, g: ema_update(b1, m, g), state.mu, widened(grads))

        def quotient(m, h):
            curvature = jnp.maximum(jnp.asarray(gamma, h.dtype) * h, jnp.asarray(eps, h.dtype))
            u = bias_correction_factor(b1, next_step(state.step), m.dtype) * m / curvature
            if clip_threshold is None:
                return u
            limit = jnp.asarray(clip_threshold, u.dtype)
            return jnp.clip(u, -limit, limit)

        def renewed(curvature):
            seen = widened(_curvature(value_fn, params, key))
            return jax.tree.map(lambda h, new: ema_update(b2, h, new), curvature, seen)

        direction = jax.tree.map(quotient, mu, state.curvature)
        updates = descent_with_decay("sophia", rate, direction, params, weight_decay, mask)
        due = is_due(state.step, update_interval)
        curvature = lax.cond(due, renewed, lambda h: h, state.curvature)
        return updates, SophiaState(next_step(state.step), mu, curvature)

    return init, update


def _curvature(value_fn: Any, params: Params, key: Key) -> Params:
    """r (H r) with random signs r: the diagonal of H in the mean, exactly so where H is diagonal."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, max(len(leaves), 1))
    signs = [jax.random.rademacher(k, p.shape, p.dtype) for k, p in zip(keys, leaves, strict=False)]
    signs = jax.tree.unflatten(tree, signs)
    _, turned = jax.jvp(jax.grad(value_fn), (params,), (signs,))
    return jax.tree.map(jnp.multiply, signs, turned)

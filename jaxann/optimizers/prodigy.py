"""Prodigy: Adam that finds its learning rate."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.average import copied
from jaxann.optimizers.base import (
    bias_correction_factor,
    check_decay_rates,
    check_given,
    descent_with_decay,
    ema_update,
    nonzero,
    safe_sqrt,
    widest,
    zeros_like,
)
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.masking import check_selection
from jaxann.optimizers.moments import check_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded, capped
from jaxann.schedules import value_at

__all__ = ["ProdigyState", "prodigy"]


class ProdigyState(NamedTuple):
    """State of `prodigy`."""

    step: Array  # int32 (), updates made so far
    distance: Array  # float (), the estimate d
    progress: Array  # float (), r
    mu: Params  # mean of d g
    nu: Params  # mean of its square
    total: Params  # s
    start: Params  # the first parameters


@factory(Optimizer, traits=("decays_by_mask",))
@scheduled("b1", "weight_decay")
def prodigy(
    learning_rate: ScalarOrSchedule = 1.0,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    b3: Scalar | None = None,
    eps: Scalar = 1e-8,
    estim_lr0: Scalar = 1e-6,
    estim_lr_coef: Scalar = 1.0,
    weight_decay: ScheduledScalar = 0.0,
    safeguard_warmup: bool = False,
    mask: Selection = None,
):
    """m = b1 m + (1-b1) d g;  v = b2 v + (1-b2) (d g)^2;  update = -a m / (sqrt(v) + d eps) - a decay w.

    a = d learning_rate sqrt(1-b2^t) / (1-b1^t). The estimate d of the distance to the minimum only grows: with w0 the
    first weights and d0 the first d, s = b3 s + a d g / d0, r = b3 r + (d / d0) a <g, w0 - w> and then
    d = max(d, estim_lr_coef r / |s|_1), sums over all leaves; the eps above is multiplied by the new d.

    Args:
        learning_rate: a factor, 1 as a rule, array, or schedule of the step, such as a cosine from 1 to 0.
        b1, b2, eps: as in `adam`.
        b3: in [0, 1), how slowly r and s forget; sqrt(b2) where None.
        estim_lr0: the first d, smaller than what it is to find.
        estim_lr_coef: factor of the estimate: less than 1 for smaller steps.
        weight_decay, mask: as in `adamw`.
        safeguard_warmup: leaves learning_rate and the corrections out of s, for a long warmup.

    Peers: as optax, which has betas=(b1, b2) and beta3 and is NaN after a first gradient of 0; PyTorch and Keras have
        none.

    Source: Mishchenko and Defazio 2024.

    Raises:
        InputError: a number is out of range, a pattern means no leaf, or `params` is missing in the update.
    """
    check_moments("prodigy", learning_rate, b1, b2, eps=eps, weight_decay=weight_decay)
    if b3 is not None:
        check_decay_rates("prodigy", b3=b3)
    check_range("prodigy", "estim_lr0", estim_lr0, 0, open_low=True)
    check_range("prodigy", "estim_lr_coef", estim_lr_coef, 0, open_low=True)
    check_selection("prodigy", "mask", mask)

    def init(params):
        check_selection("prodigy", "mask", mask, params)
        dtype = widest(params)
        first, zero = jnp.asarray(estim_lr0, dtype), jnp.zeros((), dtype)
        zeros = zeros_like(params), zeros_like(params), zeros_like(params)
        return ProdigyState(jnp.zeros((), jnp.int32), first, zero, *zeros, copied(params))

    def update(grads, state, params):
        check_given("prodigy", "params", params, "their way from the start is measured")
        d, step, grads = state.distance, next_step(state.step), bounded(grads)
        first = jnp.asarray(estim_lr0, d.dtype)
        forget = jnp.sqrt(jnp.asarray(b2, d.dtype)) if b3 is None else jnp.asarray(b3, d.dtype)
        rate = value_at(learning_rate, state.step).astype(d.dtype)
        rate = (
            d * rate * bias_correction_factor(b1, step, d.dtype) / safe_sqrt(bias_correction_factor(b2, step, d.dtype))
        )
        into_total = (d if safeguard_warmup else rate) * d / first

        def sum_of(function, *trees):
            sums = jax.tree.leaves(jax.tree.map(lambda *leaves: jnp.sum(function(*leaves)).astype(d.dtype), *trees))
            return sum(sums, jnp.zeros((), d.dtype))

        mu = jax.tree.map(lambda m, g: ema_update(b1, m, d.astype(g.dtype) * g), state.mu, grads)
        nu = jax.tree.map(lambda v, g: ema_update(b2, v, capped((d.astype(g.dtype) * g) ** 2)), state.nu, grads)
        total = jax.tree.map(
            lambda s, g: forget.astype(g.dtype) * s + into_total.astype(g.dtype) * g, state.total, grads
        )
        gone = sum_of(lambda g, w0, w: g * (w0 - w.astype(g.dtype)), grads, state.start, params)
        progress = forget * state.progress + d / first * rate * gone
        size = sum_of(jnp.abs, total)
        estimate = jnp.asarray(estim_lr_coef, d.dtype) * progress / jnp.where(size == 0, 1, size)
        after = jnp.maximum(d, jnp.where(size == 0, d, estimate))

        def one(m, v):
            return m / nonzero(jnp.sqrt(v) + (after * jnp.asarray(eps, d.dtype)).astype(v.dtype))

        updates = descent_with_decay("prodigy", rate, jax.tree.map(one, mu, nu), params, weight_decay, mask)
        return updates, ProdigyState(step, after, progress, mu, nu, total, state.start)

    return init, update

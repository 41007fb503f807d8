"""Adan: Adam with a mean of the gradients' changes."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    bias_correction_factor,
    check_decay_rates,
    check_given,
    descent_with_decay,
    ema_update,
    zeros_like,
)
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.moments import check_moments, scaled_by_rms
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded
from jaxann.schedules import value_at

__all__ = ["AdanState", "adan"]


class AdanState(NamedTuple):
    """State of `adan`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients
    change: Params  # mean of their changes
    nu: Params  # mean of the squares of the gradients as foretold
    last: Params  # the last gradients


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("b1", "weight_decay")
def adan(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.98,
    b2: Scalar = 0.92,
    b3: Scalar = 0.99,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 1e-8,
    weight_decay: ScheduledScalar = 0.0,
    mask: Selection = None,
):
    """update = -learning_rate ((m_hat + (1-b2) c_hat) / (sqrt(n_hat + eps_root) + eps) + decay w).

    m, c and n are the means, by b1, b2 and b3, of g, of d = g - (the last g) and of (g + (1-b2) d)^2, each corrected as
    Adam's; d = 0 in the first step.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        b1, b2, b3: in [0, 1), how slowly the three means forget; b1 may be a schedule of the step.
        eps, eps_root: outside and inside the root.
        weight_decay, mask: as in `adamw`.

    Peers: as optax; PyTorch and Keras have none. The paper divides the new weights by 1 + learning_rate decay instead,
        and writes 1 - b for each b.

    Source: Xie et al. 2022.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("adan", learning_rate, b1, b2, eps=eps, eps_root=eps_root, weight_decay=weight_decay)
    check_decay_rates("adan", b3=b3)
    selector("adan", "mask", mask)

    def init(params):
        return AdanState(jnp.zeros((), jnp.int32), *(zeros_like(params) for _ in range(4)))

    def update(grads, state, params):
        check_given("adan", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        grads, step = bounded(grads), next_step(state.step)

        def foretold(g, d):
            return g + (1 - jnp.asarray(b2, g.dtype)) * d

        def one(m, c, n):
            m, c, n = (bias_correction_factor(b, step, a.dtype) * a for b, a in ((b1, m), (b2, c), (b3, n)))
            return scaled_by_rms(foretold(m, c), n, eps, eps_root)

        diff = jax.tree.map(lambda g, last: jnp.where(state.step == 0, 0, g - last), grads, state.last)
        mu = jax.tree.map(lambda m, g: ema_update(b1, m, g), state.mu, grads)
        change = jax.tree.map(lambda c, d: ema_update(b2, c, d), state.change, diff)
        nu = jax.tree.map(lambda n, g, d: ema_update(b3, n, foretold(g, d) * foretold(g, d)), state.nu, grads, diff)
        direction = jax.tree.map(one, mu, change, nu)
        updates = descent_with_decay("adan", rate, direction, params, weight_decay, mask)
        return updates, AdanState(step, mu, change, nu, grads)

    return init, update

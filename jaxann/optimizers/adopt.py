"""ADOPT: Adam with the second moment of the steps before, so that any b2 converges."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import check_given, descent, ema_update, nonzero
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.moments import AdamState, check_moments, zero_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded
from jaxann.schedules import value_at

__all__ = ["adopt"]


@factory(Optimizer, traits=("finite_updates",))
@scheduled("b1")
def adopt(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.9999,
    eps: Scalar = 1e-6,
    clipping: bool = True,
):
    """m = b1 m + (1-b1) clip(g / max(sqrt(v), eps), +-c);  update = -learning_rate m;  then v = b2 v + (1-b2) g^2.

    c = (t-1)^(1/4). v holds no part of the gradient it divides. The first gradient only sets v = g^2: no step is made.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        b1, b2: in [0, 1), how slowly the two means forget; b1 may be a schedule of the step.
        eps: what sqrt(v) is at least.
        clipping: whether the normalized gradient is held to +-c.

    Peers: as optax, whose clip_value_fn is c here; PyTorch and Keras have none.

    Source: Taniguchi et al. 2024.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("adopt", learning_rate, b1, b2, eps=eps)

    def update(grads, state, params):
        check_given("adopt", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        grads, first = bounded(grads), state.step == 0

        def normalized(g, v):
            v = jnp.where(first, 1, v)
            ratio = g / nonzero(jnp.maximum(jnp.sqrt(v), jnp.asarray(eps, v.dtype)))
            if clipping:
                limit = jnp.sqrt(jnp.sqrt(state.step.astype(g.dtype)))
                ratio = jnp.clip(ratio, -limit, limit)
            return jnp.where(first, 0, ratio)

        mu = jax.tree.map(lambda m, g, v: ema_update(b1, m, normalized(g, v)), state.mu, grads, state.nu)
        nu = jax.tree.map(lambda v, g: jnp.where(first, g * g, ema_update(b2, v, g * g)), state.nu, grads)
        return descent(rate, mu, params), AdamState(next_step(state.step), mu, nu)

    return zero_moments, update

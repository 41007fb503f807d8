"""Yogi."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import bias_correction_factor, check_given, descent, ema_update, full_like
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.moments import AdamState, check_moments, scaled_by_rms
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded
from jaxann.schedules import value_at

__all__ = ["yogi"]


@factory(Optimizer, traits=("finite_updates",))
@scheduled("b1")
def yogi(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-3,
    initial_accumulator_value: Scalar = 1e-6,
):
    """m = b1 m + (1-b1) g;  v = v - (1-b2) sign(v - g^2) g^2;  update = -learning_rate m_hat / (sqrt(v_hat) + eps).

    m_hat = m / (1 - b1^t), v_hat = v / (1 - b2^t). v comes down by no more than the square of the gradient now, so the
    rate does not leap when gradients become small.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        b1, b2: in [0, 1), how slowly the two means forget; b1 may be a schedule of the step.
        eps: outside the root.
        initial_accumulator_value: what m and v start at.

    Peers: as optax; PyTorch and Keras have none.

    Source: Zaheer et al. 2018.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("yogi", learning_rate, b1, b2, eps=eps, initial_accumulator_value=initial_accumulator_value)

    def init(params):
        value = initial_accumulator_value
        mu, nu = (full_like("yogi", "initial_accumulator_value", value, params) for _ in range(2))
        return AdamState(jnp.zeros((), jnp.int32), mu, nu)

    def update(grads, state, params):
        check_given("yogi", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        grads, step = bounded(grads), next_step(state.step)

        def toward(v, g):
            square = jnp.minimum(g * g, jnp.finfo(v.dtype).max)  # inf - inf would be NaN
            return v - (1 - jnp.asarray(b2, v.dtype)) * jnp.sign(v - square) * square

        def one(m, v):
            return scaled_by_rms(
                bias_correction_factor(b1, step, m.dtype) * m, bias_correction_factor(b2, step, v.dtype) * v, eps
            )

        mu = jax.tree.map(lambda m, g: ema_update(b1, m, g), state.mu, grads)
        nu = jax.tree.map(toward, state.nu, grads)
        return descent(rate, jax.tree.map(one, mu, nu), params), AdamState(step, mu, nu)

    return init, update

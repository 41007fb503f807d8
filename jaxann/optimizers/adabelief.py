"""AdaBelief."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import bias_correction_factor, check_given, descent, ema_update
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.moments import AdamState, check_moments, scaled_by_rms, zero_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded
from jaxann.schedules import value_at

__all__ = ["adabelief"]


@factory(Optimizer, traits=("finite_updates",))
@scheduled("b1")
def adabelief(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-16,
    eps_root: Scalar = 1e-16,
):
    """s = b2 s + (1-b2) (g - m)^2 + eps_root;  update = -learning_rate m_hat / (sqrt(s_hat) + eps);  m as in adam.

    m_hat = m / (1 - b1^t), s_hat = s / (1 - b2^t): long steps where the gradients are as foretold by their mean.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        b1, b2: in [0, 1), how slowly the two means forget; b1 may be a schedule of the step.
        eps: outside the root.
        eps_root: added to s in every step, so it piles up in it.

    Peers: as optax; PyTorch and Keras have none.

    Source: Zhuang et al. 2020.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("adabelief", learning_rate, b1, b2, eps=eps, eps_root=eps_root)

    def update(grads, state, params):
        check_given("adabelief", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        grads, step = bounded(grads), next_step(state.step)

        def surprise(s, g, m):
            return ema_update(b2, s, (g - m) * (g - m)) + jnp.asarray(eps_root, s.dtype)

        def one(m, s):
            return scaled_by_rms(
                bias_correction_factor(b1, step, m.dtype) * m, bias_correction_factor(b2, step, s.dtype) * s, eps
            )

        mu = jax.tree.map(lambda m, g: ema_update(b1, m, g), state.mu, grads)
        nu = jax.tree.map(surprise, state.nu, grads, mu)
        return descent(rate, jax.tree.map(one, mu, nu), params), AdamState(step, mu, nu)

    return zero_moments, update

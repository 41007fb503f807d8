"""NovoGrad: one second moment for a whole leaf."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, chosen, selector
from jaxann.core.products import Optimizer
from jaxann.core.trees import sum_of_squares, wide_dtype
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import check_given, descent, ema_update, nonzero, zeros_like
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.moments import check_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded, capped
from jaxann.schedules import value_at

__all__ = ["NovoGradState", "novograd"]


class NovoGradState(NamedTuple):
    """State of `novograd`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # sum of the normalized gradients, older ones fading
    nu: Params  # mean of each leaf's squared norm, ()


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("b1", "weight_decay")
def novograd(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.25,
    eps: Scalar = 1e-6,
    eps_root: Scalar = 0.0,
    weight_decay: ScheduledScalar = 0.0,
    mask: Selection = None,
):
    """v = b2 v + (1-b2) |g|^2;  m = b1 m + g / (sqrt(v + eps_root) + eps) + decay w;  update = -learning_rate m.

    |g| is the length of the whole leaf: one number v for each. v starts at the first |g|^2, m at 0. The decay is not
    normalized but goes through the momentum.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        b1: in [0, 1), momentum: a constant gradient makes steps 1 / (1-b1) as long as the first; or a schedule.
        b2: in [0, 1), how slowly the mean square forgets.
        eps, eps_root: outside and inside the root.
        weight_decay, mask: decay and the leaves it is for, as in `adamw`.

    Peers: as optax, which has no mask; PyTorch and Keras have none.

    Source: Ginsburg et al. 2019.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("novograd", learning_rate, b1, b2, eps=eps, eps_root=eps_root, weight_decay=weight_decay)
    selector("novograd", "mask", mask)

    def init(params):
        nu = jax.tree.map(lambda p: jnp.zeros((), wide_dtype(p.dtype)), params)
        return NovoGradState(jnp.zeros((), jnp.int32), zeros_like(params), nu)

    def update(grads, state, params):
        check_given("novograd", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        selected = chosen("novograd", "mask", mask, params)
        grads = bounded(grads)

        def square(v, g):
            now = capped(sum_of_squares(g))
            return jnp.where(state.step == 0, now, ema_update(b2, v, now))

        def one(m, v, g, p, decays):
            factor = 1 / nonzero(jnp.sqrt(v + jnp.asarray(eps_root, v.dtype)) + jnp.asarray(eps, v.dtype))
            moved = jnp.asarray(b1, m.dtype) * m + factor * g
            return moved + jnp.asarray(weight_decay, m.dtype) * p.astype(m.dtype) if decays else moved

        nu = jax.tree.map(square, state.nu, grads)
        mu = jax.tree.map(one, state.mu, nu, grads, params, selected)
        return descent(rate, mu, params), NovoGradState(next_step(state.step), mu, nu)

    return init, update

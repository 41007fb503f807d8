"""Adadelta."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import (
    check_decay_rates,
    check_given,
    check_learning_rate,
    check_not_negative,
    descent_with_decay,
    ema_update,
    nonzero,
    zeros_like,
)
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.scheduled import scheduled
from jaxann.optimizers.squares import bounded
from jaxann.schedules import value_at

__all__ = ["AdadeltaState", "adadelta"]


class AdadeltaState(NamedTuple):
    """State of `adadelta`."""

    step: Array  # int32 (), updates made so far
    squares: Params  # mean of the squared gradients
    moves: Params  # mean of the squared steps, before the learning rate


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("weight_decay")
def adadelta(
    learning_rate: ScalarOrSchedule = 1.0,
    *,
    rho: Scalar = 0.9,
    eps: Scalar = 1e-6,
    weight_decay: ScheduledScalar = 0.0,
    mask: Selection = None,
):
    """E = rho E + (1-rho) g^2;  u = g sqrt(D + eps) / sqrt(E + eps);  D = rho D + (1-rho) u^2;
    update = -learning_rate (u + decay w).

    Steps have the unit of the parameters, so a rate of 1 has a meaning; the first ones are as small as sqrt(eps).

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        rho: in [0, 1), how slowly the two means forget.
        eps: what makes the first step, since D starts at 0; 0 would never move.
        weight_decay, mask: decoupled decay and the leaves it is for, as in `adamw`.

    Peers: as optax (whose learning_rate=None climbs) and PyTorch, but their weight_decay is added to the gradient:
        `add_decayed_weights` in a chain before it. Keras has learning rate 1e-3, rho 0.95 and eps 1e-7.

    Source: Zeiler 2012.

    Raises:
        InputError: a number is out of range.
    """
    check_learning_rate("adadelta", learning_rate)
    check_decay_rates("adadelta", rho=rho)
    check_not_negative("adadelta", eps=eps, weight_decay=weight_decay)
    selector("adadelta", "mask", mask)

    def init(params):
        return AdadeltaState(jnp.zeros((), jnp.int32), zeros_like(params), zeros_like(params))

    def update(grads, state, params):
        check_given("adadelta", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        grads = bounded(grads)

        def one(g, e, d):
            small = jnp.asarray(eps, g.dtype)
            return jnp.sqrt(d + small) / jnp.sqrt(nonzero(e + small)) * g

        squares = jax.tree.map(lambda e, g: ema_update(rho, e, g * g), state.squares, grads)
        direction = jax.tree.map(one, grads, squares, state.moves)
        moves = jax.tree.map(lambda d, u: ema_update(rho, d, u * u), state.moves, direction)
        updates = descent_with_decay("adadelta", rate, direction, params, weight_decay, mask)
        return updates, AdadeltaState(next_step(state.step), squares, moves)

    return init, update

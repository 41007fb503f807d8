"""Lion: steps of one size, by the sign of a mean."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule, ScheduledScalar
from jaxann.optimizers.base import check_given, descent_with_decay, ema_update, widened, zeros_like
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.moments import check_moments
from jaxann.optimizers.scheduled import scheduled
from jaxann.schedules import value_at

__all__ = ["LionState", "lion"]


class LionState(NamedTuple):
    """State of `lion`."""

    step: Array  # int32 (), updates made so far
    mu: Params  # mean of the gradients


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
@scheduled("b1", "weight_decay")
def lion(
    learning_rate: ScalarOrSchedule,
    *,
    b1: ScheduledScalar = 0.9,
    b2: Scalar = 0.99,
    weight_decay: ScheduledScalar = 1e-3,
    mask: Selection = None,
):
    """c = b1 m + (1-b1) g;  update = -learning_rate (sign(c) + decay w);  m = b2 m + (1-b2) g.

    Every parameter moves by the learning rate in every step: take one 3 to 10 times smaller than Adam's and a decay as
    much larger. One copy of the parameters is kept, Adam keeps two.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        b1: in [0, 1), the share of the mean in the step; it may be a schedule of the step.
        b2: in [0, 1), how slowly the mean forgets.
        weight_decay, mask: as in `adamw`.

    Peers: as optax; Keras has no decay by default; PyTorch has none.

    Source: Chen et al. 2023.

    Raises:
        InputError: a number is out of range.
    """
    check_moments("lion", learning_rate, b1, b2)
    check_range("lion", "weight_decay", weight_decay, 0)
    selector("lion", "mask", mask)

    def init(params):
        return LionState(jnp.zeros((), jnp.int32), zeros_like(params))

    def update(grads, state, params):
        check_given("lion", "params", params, "they decay")
        rate = value_at(learning_rate, state.step)
        grads = widened(grads)
        direction = jax.tree.map(lambda m, g: jnp.sign(ema_update(b1, m, g)), state.mu, grads)
        mu = jax.tree.map(lambda m, g: ema_update(b2, m, g), state.mu, grads)
        updates = descent_with_decay("lion", rate, direction, params, weight_decay, mask)
        return updates, LionState(next_step(state.step), mu)

    return init, update

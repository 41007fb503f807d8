"""Gradient descent with Polyak's step size."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_range
from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.trees import squared_norm
from jaxann.core.typing import Array, Scalar, ScalarOrSchedule
from jaxann.optimizers.base import check_given, check_not_negative, widened
from jaxann.optimizers.counting import next_step
from jaxann.schedules import value_at
from jaxann.schedules.base import is_schedule

__all__ = ["PolyakSGDState", "polyak_sgd"]


class PolyakSGDState(NamedTuple):
    """State of `polyak_sgd`."""

    step: Array  # int32 (), updates made so far


@factory(Optimizer, traits=("finite_updates",))
def polyak_sgd(
    max_learning_rate: Scalar = 1.0,
    *,
    scaling: ScalarOrSchedule = 1.0,
    f_min: Scalar = 0.0,
    eps: Scalar = 0.0,
    variant: str = "sps",
):
    """update = -scaling min((f - f_min) / (|g|^2 + eps), max_learning_rate) g, and 0 where |g|^2 + eps = 0.

    f is the objective at the parameters, which the trainer gives as `value`; |g| is over all leaves. The step that
    would reach f_min on a line with the slope of the gradient: right where the model can fit every example, so that
    f_min is known.

    Args:
        max_learning_rate: >= 0.
        scaling: number >= 0, array, or schedule of the step.
        f_min: the least value the objective can have.
        eps: >= 0.
        variant: "sps", or "sps+", which takes f - f_min for 0 where it is negative instead of climbing.

    Peers: as optax with scaling 1; its scaling is applied before the norm is taken, so that 2 there halves the step.
        PyTorch and Keras have none.

    Source: Polyak 1987; Loizou et al. 2021.

    Raises:
        InputError: a number is out of range, an unknown variant, or `value` is missing in the update.
    """
    check_range("polyak_sgd", "max_learning_rate", max_learning_rate, 0)
    if not is_schedule(scaling):
        check_not_negative("polyak_sgd", scaling=scaling)
    check_range("polyak_sgd", "f_min", f_min)
    check_not_negative("polyak_sgd", eps=eps)
    check_choice("polyak_sgd", "variant", variant, ("sps", "sps+"))

    def init(params):
        return PolyakSGDState(jnp.zeros((), jnp.int32))

    def update(grads, state, params, *, value=None):
        check_given("polyak_sgd", "params", params, "it has their dtypes")
        check_given("polyak_sgd", "value", value, "the step size depends on the objective")
        grads = widened(grads)
        square = squared_norm(grads)
        square = square + jnp.asarray(eps, square.dtype)
        gap = jnp.asarray(value, square.dtype) - jnp.asarray(f_min, square.dtype)
        gap = jnp.maximum(gap, 0) if variant == "sps+" else gap
        size = jnp.minimum(gap / jnp.where(square == 0, 1, square), jnp.asarray(max_learning_rate, square.dtype))
        size = value_at(scaling, state.step).astype(size.dtype) * jnp.where(square == 0, 0, size)
        updates = jax.tree.map(lambda g, p: (-size.astype(g.dtype) * g).astype(p.dtype), grads, params)
        return updates, PolyakSGDState(next_step(state.step))

    return init, update

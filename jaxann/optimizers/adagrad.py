"""Adagrad."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.factories import factory
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params, Scalar, ScalarOrSchedule
from jaxann.optimizers.base import check_given, check_learning_rate, check_not_negative, descent, full_like
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.squares import bounded, capped
from jaxann.schedules import value_at

__all__ = ["AdagradState", "adagrad"]


class AdagradState(NamedTuple):
    """State of `adagrad`."""

    step: Array  # int32 (), updates made so far
    squares: Params  # sum of the squared gradients


@factory(Optimizer, traits=("finite_updates",))
def adagrad(
    learning_rate: ScalarOrSchedule,
    *,
    initial_accumulator_value: Scalar = 0.1,
    eps: Scalar = 1e-7,
    eps_in_sqrt: bool = True,
):
    """G = G + g^2;  update = -learning_rate g / sqrt(G + eps), and 0 where G = 0.

    Each parameter's own rate falls as one over the root of all its gradients: kind to rare features, slow in the end.

    Args:
        learning_rate: number >= 0, array, or schedule of the step.
        initial_accumulator_value: what G starts at; 0 makes the first step of every parameter the learning rate.
        eps: inside the root, or with `eps_in_sqrt=False` outside, g / (sqrt(G) + eps).
        eps_in_sqrt: where eps stands.

    Peers: as optax and Keras. PyTorch: `initial_accumulator_value=0.0, eps=1e-10, eps_in_sqrt=False`; its lr_decay is
        the schedule `inverse_time(rate, 1, lr_decay)`.

    Source: Duchi, Hazan and Singer 2011.

    Raises:
        InputError: a number is out of range.
    """
    check_learning_rate("adagrad", learning_rate)
    check_not_negative("adagrad", initial_accumulator_value=initial_accumulator_value, eps=eps)

    def init(params):
        return AdagradState(
            jnp.zeros((), jnp.int32),
            full_like("adagrad", "initial_accumulator_value", initial_accumulator_value, params),
        )

    def update(grads, state, params):
        check_given("adagrad", "params", params, "it has their dtypes")
        rate = value_at(learning_rate, state.step)
        grads = bounded(grads)
        squares = jax.tree.map(lambda s, g: capped(s + g * g), state.squares, grads)

        def one(g, s):
            small, some = jnp.asarray(eps, s.dtype), jnp.where(s == 0, jnp.inf, s)  # g / inf: 0, and so is its slope
            return g / (jnp.sqrt(some + small) if eps_in_sqrt else jnp.sqrt(some) + small)

        return descent(rate, jax.tree.map(one, grads, squares), params), AdagradState(next_step(state.step), squares)

    return init, update

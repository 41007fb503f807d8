"""Decay and scaling as transformations of their own, to build rules from parts."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, ScalarOrSchedule
from jaxann.optimizers.base import check_given
from jaxann.optimizers.counting import next_step
from jaxann.optimizers.masking import check_selection, selected
from jaxann.optimizers.scheduled import check_setting
from jaxann.schedules import value_at
from jaxann.schedules.base import is_schedule

__all__ = ["DecayState", "ScaleState", "add_decayed_weights", "scale"]


class DecayState(NamedTuple):
    """State of `add_decayed_weights`."""

    step: Array  # int32 (), updates made so far


class ScaleState(NamedTuple):
    """State of `scale`."""

    step: Array  # int32 (), updates made so far


@factory(Optimizer, traits=("decays_by_mask", "finite_updates"))
def add_decayed_weights(weight_decay: ScalarOrSchedule, *, mask: Selection = None):
    """g + weight_decay w.

    Before an optimizer this is the gradient of weight_decay |w|^2 / 2, which the optimizer then works on (coupled
    decay); between a preconditioner and the learning rate it is decoupled decay, as `adamw` has it.

    Args:
        weight_decay: number >= 0, or schedule of the step.
        mask: which leaves decay: path patterns, or a rule `(name, leaf) -> bool` such as `matrices`; None for all.

    Peers: as optax; before an optimizer as the weight_decay of PyTorch's SGD and Adam. In Keras it is a regularizer.

    Raises:
        InputError: a number is negative, a pattern means no leaf, or `params` is missing in the update.
    """
    check_setting("add_decayed_weights", "weight_decay", weight_decay, 0)
    check_selection("add_decayed_weights", "mask", mask)

    def init(params):
        check_selection("add_decayed_weights", "mask", mask, params)
        return DecayState(jnp.zeros((), jnp.int32))

    def update(grads, state, params):
        check_given("add_decayed_weights", "params", params, "they decay")
        number = value_at(weight_decay, state.step)

        def one(g, p, decays):
            if not decays:
                return g
            dtype = wide_dtype(g.dtype)
            return (g.astype(dtype) + number.astype(dtype) * p.astype(dtype)).astype(g.dtype)

        decays = selected("add_decayed_weights", "mask", mask, grads)
        return jax.tree.map(one, grads, params, decays), DecayState(next_step(state.step))

    return init, update


@factory(Optimizer, traits=("finite_updates",))
def scale(factor: ScalarOrSchedule):
    """factor g: a negative factor at the end of a chain makes a descent of it.

    Args:
        factor: number of either sign, or schedule of the step (0 for the first update).

    Peers: as optax's scale and scale_by_schedule; PyTorch and Keras have none.

    Raises:
        InputError: the factor is no finite number.
    """
    if not is_schedule(factor):
        check_range("scale", "factor", factor)

    def init(params):
        return ScaleState(jnp.zeros((), jnp.int32))

    def update(grads, state, params):
        number = value_at(factor, state.step)

        def one(g):
            dtype = wide_dtype(g.dtype)
            return (number.astype(dtype) * g.astype(dtype)).astype(g.dtype)

        return jax.tree.map(one, grads), ScaleState(next_step(state.step))

    return init, update

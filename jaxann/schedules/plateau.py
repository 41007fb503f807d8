"""A rate that is cut when a measured value stops improving.

Its state is carried by the training program, which tells it the value and asks for the rate as it stands.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_count, check_range
from jaxann.core.factories import factory, product_class
from jaxann.core.products import Schedule
from jaxann.core.typing import Array, Scalar, ScalarOrSchedule
from jaxann.schedules.base import is_schedule, real, scaled, value_at

__all__ = ["Plateau", "PlateauState", "reduce_on_plateau"]


class PlateauState(NamedTuple):
    """State of `reduce_on_plateau` between observations."""

    best: Array  # float, best value seen
    bad: Array  # int32, observations without improvement in a row
    cooldown: Array  # int32, observations still to wait
    scale: Array  # float, product of all reductions


@product_class
class Plateau(Schedule):
    """A schedule that is scaled down when an observed value stops improving."""

    __slots__ = ()

    def __call__(self, step: Array | int) -> Array:
        """The rate before any reduction."""
        return self.functions[0](jnp.asarray(step))

    def init(self) -> PlateauState:
        """Nothing observed yet, scale 1."""
        return self.functions[1]()

    def observe(self, state: PlateauState, value: Array) -> PlateauState:
        """The state after one more observation, such as the validation loss of an epoch."""
        return self.functions[2](state, value)

    def at(self, state: PlateauState) -> Schedule:
        """The schedule as it stands: the rate times the scale."""
        return scaled(self.arguments["learning_rate"], state.scale)


@factory(Plateau)
def reduce_on_plateau(
    learning_rate: ScalarOrSchedule,
    *,
    factor: Scalar = 0.1,
    patience: Scalar = 10,
    rtol: Scalar = 1e-4,
    atol: Scalar = 0.0,
    cooldown: Scalar = 0,
    min_scale: Scalar = 0.0,
    mode: str = "min",
):
    """f = rate scale, scale <- max(factor scale, min_scale) when `patience` observed values in a row were no better,
    better: value < best - rtol |best| - atol.

    Mode "max" compares the negated value. NaN is no improvement. During training the observed value is the validation
    loss at the end of each epoch (the training loss where there is no validation set); the state lives inside the
    compiled program.

    Args:
        learning_rate: a number or a schedule.
        factor: in (0, 1).
        patience: observations without improvement that trigger a reduction.
        rtol, atol: how much better counts as better.
        cooldown: observations after a reduction during which none is counted as bad.
        min_scale: the scale never falls below this.
        mode: "min" or "max".

    Peers: as optax's contrib.reduce_on_plateau for positive values; PyTorch's ReduceLROnPlateau waits for one bad value
    more (patience 2 and a constant value: first drop at value 4, here at value 3) and Keras' bar is best - min_delta.

    Raises:
        InputError: a number is out of range, or the mode is unknown.
    """
    if not is_schedule(learning_rate):
        check_range("reduce_on_plateau", "learning_rate", learning_rate, 0)
    check_range("reduce_on_plateau", "factor", factor, 0, 1, open_low=True, open_high=True)
    check_count("reduce_on_plateau", "patience", patience, 1)
    check_range("reduce_on_plateau", "rtol", rtol, 0)
    check_range("reduce_on_plateau", "atol", atol, 0)
    check_count("reduce_on_plateau", "cooldown", cooldown, 0)
    check_range("reduce_on_plateau", "min_scale", min_scale, 0, 1)
    check_choice("reduce_on_plateau", "mode", mode, ("min", "max"))

    def rate(step):
        return jnp.broadcast_to(value_at(learning_rate, step), step.shape)

    def init():
        return PlateauState(real(jnp.inf), jnp.int32(0), jnp.int32(0), real(1.0))

    def observe(state, value):
        value = real(value) if mode == "min" else -real(value)
        # best starts at inf: (1 - rtol) inf is inf and every finite value is an improvement; abs() keeps the rule
        # right for negative values, where (1 - rtol) best alone would be a looser bound than best itself.
        bar = jnp.where(jnp.isinf(state.best), state.best, state.best - real(rtol) * jnp.abs(state.best) - real(atol))
        improved = value < bar
        bad = jnp.where(improved, 0, state.bad + 1)
        waiting = state.cooldown > 0
        bad = jnp.where(waiting, 0, bad)
        fire = bad >= jnp.asarray(patience, jnp.int32)
        return PlateauState(
            best=jnp.where(improved, value, state.best),
            bad=jnp.where(fire, 0, bad).astype(jnp.int32),
            cooldown=jnp.where(fire, jnp.asarray(cooldown, jnp.int32), jnp.maximum(state.cooldown - 1, 0)),
            scale=jnp.where(fire, jnp.maximum(state.scale * real(factor), real(min_scale)), state.scale),
        )

    return rate, init, observe

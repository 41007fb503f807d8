"""Schedules: factories of `step -> value`, step counted from 0 in optimizer steps.

They run inside compiled programs: `step` may be traced and of any shape, every number may be traced, the value is
constant outside the schedule's range and exact at its boundaries. `reduce_on_plateau` reacts to a measured value; its
memory is carried by the training program.
"""

from __future__ import annotations

import numbers
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxann.core.checks import check_choice, check_count, check_range, fail
from jaxann.core.factories import factory, product_class
from jaxann.core.products import Schedule
from jaxann.core.typing import Array, Scalar

__all__ = ["Plateau", "PlateauState", "constant", "cosine", "reduce_on_plateau", "scaled", "value_at"]


def _real(value: Any) -> Array:
    return jnp.asarray(value, jnp.result_type(float))


def value_at(rate: Any, step: Array) -> Array:
    """A number as it is, or a schedule's value at this step: what `learning_rate=` may be."""
    return _real(rate(step)) if callable(rate) else _real(rate)


@factory(Schedule)
def constant(value: Scalar):
    """The same value at every step."""
    check_range("constant", "value", value)
    return lambda step: jnp.broadcast_to(_real(value), step.shape)


@factory(Schedule)
def cosine(peak: Scalar, steps: Scalar, *, warmup: Scalar = 0, start: Scalar = 0.0, end: Scalar = 0.0):
    """A linear rise to the peak, then half a cosine down to the end.

        step < warmup:  start + (peak - start) step / warmup
        else:           end + (peak - end) (1 + cos(pi p)) / 2,   p = (step - warmup) / (steps - warmup)

    Args:
        peak: greatest value, reached exactly at step `warmup`.
        steps: length of the whole schedule, warmup included; from there on the value is `end`.
        warmup: steps of the linear rise; 0 for none.
        start: value at step 0 when there is a warmup.
        end: last value, absolute (optax's `alpha` is the fraction end / peak). PyTorch's CosineAnnealingLR rises
            again after its last step; this one stays at `end`.

    Raises:
        InputError: steps < 1, warmup < 0, or warmup > steps.
    """
    check_range("cosine", "peak", peak)
    check_range("cosine", "start", start)
    check_range("cosine", "end", end)
    check_count("cosine", "steps", steps, 1)
    check_count("cosine", "warmup", warmup, 0)
    if isinstance(steps, numbers.Real) and isinstance(warmup, numbers.Real) and warmup > steps:
        fail("cosine", "warmup", f"at most steps ({steps})", warmup)

    def value(step):
        high, low, first = _real(peak), _real(end), _real(start)
        now, rise, length = jnp.maximum(_real(step), 0.0), _real(warmup), _real(steps)
        climbing = first + (high - first) * now / jnp.maximum(rise, 1.0)
        p = jnp.clip((now - rise) / jnp.maximum(length - rise, 1.0), 0.0, 1.0)
        falling = low + (high - low) * 0.5 * (1.0 + jnp.cos(jnp.pi * p))
        falling = jnp.where(p <= 0.0, high, falling)  # low + (high - low) is high in exact arithmetic only
        falling = jnp.where(p >= 1.0, low, falling)  # and cos(pi) is exactly -1
        return jnp.where(now < rise, climbing, jnp.where(now >= length, low, falling))

    return value


@factory(Schedule)
def scaled(rate: Any, scale: Scalar):
    """A number or schedule times a factor."""
    return lambda step: jnp.broadcast_to(value_at(rate, step) * _real(scale), step.shape)


class PlateauState(NamedTuple):
    """What reduce_on_plateau remembers between observations."""

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
    learning_rate: Any,
    *,
    factor: Scalar = 0.1,
    patience: Scalar = 10,
    rtol: Scalar = 1e-4,
    atol: Scalar = 0.0,
    cooldown: Scalar = 0,
    min_scale: Scalar = 0.0,
    mode: str = "min",
):
    """A learning rate that is multiplied by `factor` when the observed value has not improved for `patience` times.

    Improved means value < (1 - rtol) best - atol (mode "min"; "max" compares the negated value). NaN is no
    improvement. During training the observed value is the validation loss at the end of each epoch (the training
    loss where there is no validation set); the state lives inside the compiled program.

    Args:
        learning_rate: a number or a schedule.
        factor: in (0, 1).
        patience: observations without improvement that trigger a reduction (optax's rule; PyTorch waits for one more).
        rtol, atol: how much better counts as better.
        cooldown: observations after a reduction during which none is counted as bad.
        min_scale: the scale never falls below this.
        mode: "min" or "max".

    Raises:
        InputError: a number is out of range, or the mode is unknown.
    """
    if not callable(learning_rate):
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
        return PlateauState(_real(jnp.inf), jnp.int32(0), jnp.int32(0), _real(1.0))

    def observe(state, value):
        value = _real(value) if mode == "min" else -_real(value)
        # best starts at inf: (1 - rtol) inf is inf and every finite value is an improvement; abs() keeps the rule
        # right for negative values, where (1 - rtol) best alone would be a looser bound than best itself.
        bar = jnp.where(jnp.isinf(state.best), state.best, state.best - _real(rtol) * jnp.abs(state.best) - _real(atol))
        improved = value < bar
        bad = jnp.where(improved, 0, state.bad + 1)
        waiting = state.cooldown > 0
        bad = jnp.where(waiting, 0, bad)
        fire = bad >= jnp.asarray(patience, jnp.int32)
        return PlateauState(
            best=jnp.where(improved, value, state.best),
            bad=jnp.where(fire, 0, bad).astype(jnp.int32),
            cooldown=jnp.where(fire, jnp.asarray(cooldown, jnp.int32), jnp.maximum(state.cooldown - 1, 0)),
            scale=jnp.where(fire, jnp.maximum(state.scale * _real(factor), _real(min_scale)), state.scale),
        )

    return rate, init, observe

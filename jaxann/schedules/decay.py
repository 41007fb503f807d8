"""Decays from a first value: in steps, by powers of a rate, by roots of the step, by a polynomial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from jaxann.core.checks import check_count, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Schedule
from jaxann.core.typing import Array, Scalar
from jaxann.schedules.base import blend, cycles, reached, real, share, since

__all__ = [
    "exponential",
    "inverse_sqrt",
    "inverse_time",
    "linear",
    "multi_step",
    "noam",
    "piecewise_constant",
    "polynomial",
    "step",
]


@factory(Schedule)
def step(value: Scalar, step_size: Scalar, *, gamma: Scalar = 0.1):
    """f(c) = value gamma^floor(c / step_size).

    Args:
        value: the first value.
        step_size: steps between two drops, at least 1; the drop applies at its multiples.
        gamma: factor of each drop, positive.

    Peers: as PyTorch's StepLR, and optax's exponential_decay with staircase=True.

    Raises:
        InputError: step_size < 1, or gamma <= 0.
    """
    check_range("step", "value", value)
    check_count("step", "step_size", step_size, 1)
    check_range("step", "gamma", gamma, 0, open_low=True)
    return lambda count: real(value) * jnp.power(real(gamma), cycles(since(count), step_size))


@factory(Schedule)
def multi_step(value: Scalar, milestones: tuple[Scalar, ...], *, gamma: Scalar = 0.1):
    """f(c) = value gamma^(number of milestones b <= c).

    Args:
        value: the first value.
        milestones: the steps at which the value drops, in any order; the drop applies at c = b.
        gamma: factor of each drop, positive.

    Peers: as PyTorch's MultiStepLR and optax's piecewise_constant_schedule; Keras' PiecewiseConstantDecay drops one
    step later, at c = b + 1.

    Raises:
        InputError: a milestone is no whole number >= 0, or gamma <= 0.
    """
    check_range("multi_step", "value", value)
    check_range("multi_step", "gamma", gamma, 0, open_low=True)
    bounds = _several("multi_step", "milestones", milestones)
    for bound in bounds:
        check_count("multi_step", "each of milestones", bound, 0)

    def at(count):
        now = since(count)
        passed = sum((jnp.where(reached(now, b), 1.0, 0.0) for b in bounds), jnp.zeros_like(real(now)))
        return real(value) * jnp.power(real(gamma), real(passed))

    return at


def _pairs(scales: Any) -> Any:
    return tuple(sorted(scales.items())) if isinstance(scales, Mapping) else scales


@factory(Schedule, convert={"scales": _pairs})
def piecewise_constant(value: Scalar, scales: Mapping[int, Scalar] | tuple[tuple[Scalar, Scalar], ...]):
    """f(c) = value prod_{b <= c} scale_b.

    Args:
        value: the first value.
        scales: `{step b: factor}`, or pairs `(b, factor)`; each factor applies from c = b on.

    Peers: as optax's piecewise_constant_schedule; Keras' PiecewiseConstantDecay takes values in place of factors and
    changes one step later, at c = b + 1.

    Raises:
        InputError: not pairs, a boundary is no whole number >= 0, or a factor is negative.
    """
    check_range("piecewise_constant", "value", value)
    pairs = _several("piecewise_constant", "scales", scales)
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            fail("piecewise_constant", "scales", "a dict {step: factor} or pairs (step, factor)", scales)
        check_count("piecewise_constant", "each step of scales", pair[0], 0)
        check_range("piecewise_constant", "each factor of scales", pair[1], 0)

    def at(count):
        now = since(count)
        found = jnp.broadcast_to(real(value), now.shape)
        for bound, scale in pairs:
            found = found * jnp.where(reached(now, bound), real(scale), 1.0)
        return found

    return at


@factory(Schedule)
def exponential(
    value: Scalar,
    steps: Scalar,
    rate: Scalar,
    *,
    staircase: bool = False,
    begin: Scalar = 0,
    end: Scalar | None = None,
):
    """f(c) = value rate^((c - begin) / steps), the exponent floored when staircase; value before begin.

    Args:
        value: the first value.
        steps: steps in which the value is multiplied by `rate` once.
        rate: positive; below 1 the value decays, above it grows.
        staircase: whether it changes only every `steps` steps.
        begin: the last step with the first value.
        end: bound of the value, from below for a rate below 1, from above otherwise; None for none.

    Peers: as optax's exponential_decay and Keras' ExponentialDecay (no begin, no end); PyTorch's ExponentialLR is
    steps=1.

    Raises:
        InputError: steps < 1, rate <= 0, or begin < 0.
    """
    check_range("exponential", "value", value)
    check_count("exponential", "steps", steps, 1)
    check_range("exponential", "rate", rate, 0, open_low=True)
    check_count("exponential", "begin", begin, 0)
    if end is not None:
        check_range("exponential", "end", end)

    def at(count):
        now, base = since(count, begin), real(rate)
        periods = _quotient(now, steps, staircase)
        found = real(value) * jnp.power(base, periods)
        if end is None:
            return found
        bound = real(end)
        beyond = jnp.where(base < 1.0, found < bound, found > bound)
        # A power that overflows beyond the end would have a slope of infinity times 0.
        held = real(value) * jnp.power(base, jnp.where(beyond, 0, periods))
        return jnp.where(beyond, bound, held)

    return at


@factory(Schedule)
def inverse_time(value: Scalar, steps: Scalar, rate: Scalar, *, staircase: bool = False):
    """f(c) = value / (1 + rate c / steps), the quotient c / steps floored when staircase.

    Args:
        value: the first value.
        steps: the unit of time, in steps.
        rate: at least 0.
        staircase: whether it changes only every `steps` steps.

    Peers: as Keras' InverseTimeDecay; optax and PyTorch have none by that name.

    Raises:
        InputError: steps < 1, or rate < 0.
    """
    check_range("inverse_time", "value", value)
    check_count("inverse_time", "steps", steps, 1)
    check_range("inverse_time", "rate", rate, 0)
    return lambda count: real(value) / (1.0 + real(rate) * _quotient(since(count), steps, staircase))


@factory(Schedule)
def inverse_sqrt(value: Scalar, warmup: Scalar):
    """f(c) = value min(c / warmup, sqrt(warmup / c)): a linear rise to value at c = warmup, then 1 / sqrt(c).

    Args:
        value: the greatest value, reached exactly at step `warmup`.
        warmup: steps of the rise, at least 1.

    Peers: `noam` with the peak named; PyTorch, Keras and optax have none by that name.

    Source: Vaswani et al. 2017.

    Raises:
        InputError: warmup < 1.
    """
    check_range("inverse_sqrt", "value", value)
    check_count("inverse_sqrt", "warmup", warmup, 1)
    return lambda count: real(value) * _rise_and_root(real(since(count)), real(warmup))


@factory(Schedule)
def noam(features: Scalar, *, warmup: Scalar = 4000):
    """f(c) = features^-0.5 min(n^-0.5, n warmup^-1.5), n = c + 1.

    The paper counts steps from 1, so its n is one more than the step here: the greatest value,
    1 / sqrt(features warmup), stands at step warmup - 1. `scaled` puts a factor before it.

    Args:
        features: width of the model.
        warmup: steps of the linear rise, at least 1.

    Peers: the schedule of the Transformer paper; PyTorch, Keras and optax have none by that name.

    Source: Vaswani et al. 2017.

    Raises:
        InputError: features < 1, or warmup < 1.
    """
    check_range("noam", "features", features, 1)
    check_count("noam", "warmup", warmup, 1)

    def at(count):
        rise = real(warmup)
        return _rise_and_root(real(since(count)) + 1.0, rise) / jnp.sqrt(real(features) * rise)

    return at


@factory(Schedule)
def polynomial(value: Scalar, steps: Scalar, power: Scalar, *, end: Scalar = 0.0, begin: Scalar = 0):
    """f(c) = end + (value - end) (1 - p)^power, p = (c - begin) / steps held to [0, 1].

    Args:
        value: the value up to step `begin`.
        steps: steps of the transition.
        power: positive; 1 is `linear`.
        end: the value from step begin + steps on.
        begin: the step at which the transition begins.

    Peers: as optax's polynomial_schedule and Keras' PolynomialDecay (end 1e-4 unless given); PyTorch's PolynomialLR
    has end 0.

    Raises:
        InputError: steps < 1, power <= 0, or begin < 0.
    """
    check_range("polynomial", "value", value)
    check_count("polynomial", "steps", steps, 1)
    check_range("polynomial", "power", power, 0, open_low=True)
    check_range("polynomial", "end", end)
    check_count("polynomial", "begin", begin, 0)

    def at(count):
        p = share(since(count, begin), steps)
        within = p < 1.0
        left = jnp.power(jnp.where(within, 1.0 - p, 1.0), real(power))  # the slope of 0^power may be infinite
        return blend(real(end), real(value), jnp.where(within, left, 0.0))

    return at


@factory(Schedule)
def linear(value: Scalar, steps: Scalar, *, end: Scalar = 0.0, begin: Scalar = 0):
    """f(c) = value + (end - value) p, p = (c - begin) / steps held to [0, 1].

    Args:
        value: the value up to step `begin`.
        steps: steps of the transition.
        end: the value from step begin + steps on; greater than `value` for a rise.
        begin: the step at which the transition begins.

    Peers: as optax's linear_schedule; PyTorch's LinearLR gives both ends as factors of the rate.

    Raises:
        InputError: steps < 1, or begin < 0.
    """
    check_range("linear", "value", value)
    check_count("linear", "steps", steps, 1)
    check_range("linear", "end", end)
    check_count("linear", "begin", begin, 0)
    return lambda count: blend(real(value), real(end), share(since(count, begin), steps))


def _several(function: str, argument: str, values: Any) -> tuple:
    if not isinstance(values, tuple | list):
        fail(function, argument, "a tuple", values)
    return tuple(values)


def _quotient(now: Array, steps: Scalar, staircase: bool) -> Array:
    return cycles(now, steps) if staircase else real(now) / real(steps)


def _rise_and_root(now: Array, rise: Array) -> Array:
    """min(now / rise, sqrt(rise / now)), which is 1 at now = rise."""
    return jnp.where(now < rise, now / rise, jnp.sqrt(rise / jnp.maximum(now, rise)))

"""What schedules share: numbers, steps and blends of two values; and the plainest of them."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_range, fail
from jaxann.core.errors import InputError
from jaxann.core.factories import factory, is_product
from jaxann.core.products import Schedule
from jaxann.core.typing import Array, Scalar, ScalarOrSchedule

__all__ = [
    "as_schedule",
    "blend",
    "constant",
    "counted",
    "custom",
    "cycles",
    "half_cosine",
    "is_schedule",
    "part_of",
    "place_in_cycle",
    "reached",
    "real",
    "scaled",
    "share",
    "since",
    "together",
    "value_at",
]

_MOST_STEPS = 2**31 - 1  # what int32 holds, and where counters stop


def real(value: Scalar) -> Array:
    """A number in the default floating type."""
    return jnp.asarray(value, jnp.result_type(float))


def counted(steps: Scalar) -> Array:
    """A number of steps: a whole number as it is, any other in the default floating type."""
    if isinstance(steps, np.ndarray) and steps.ndim == 0 and steps.dtype.kind in "iu":
        steps = int(steps)
    if isinstance(steps, numbers.Integral) and steps > _MOST_STEPS:  # no step is as late
        return real(float(steps))
    steps = jnp.asarray(steps)
    if not jnp.issubdtype(steps.dtype, jnp.integer):
        return real(steps)
    if jnp.issubdtype(steps.dtype, jnp.unsignedinteger) and steps.dtype.itemsize > 2:
        steps = jnp.minimum(steps, jnp.asarray(_MOST_STEPS, steps.dtype))
    return steps.astype(jnp.result_type(int))


def _alike(a: Scalar, b: Scalar) -> tuple[Array, Array]:
    """Both whole numbers if they are, else both real: float32 does not hold the whole numbers from 2^24 on."""
    a, b = counted(a), counted(b)
    whole = jnp.issubdtype(a.dtype, jnp.integer) and jnp.issubdtype(b.dtype, jnp.integer)
    return (a, b) if whole else (real(a), real(b))


def since(step: Array, begin: Scalar = 0) -> Array:
    """Steps since `begin`, 0 before it; a whole number where both are."""
    step, begin = _alike(step, begin)
    return jnp.where(step > begin, step - begin, jnp.zeros_like(begin))


def reached(now: Scalar, bound: Scalar) -> Array:
    """Whether now >= bound, exactly."""
    now, bound = _alike(now, bound)
    return now >= bound


def together(*steps: Scalar) -> Array:
    """The sum of numbers of steps, whole where all are and int32 holds it."""
    total = counted(steps[0])
    for more in steps[1:]:
        one, other = _alike(total, more)
        if jnp.issubdtype(one.dtype, jnp.integer):
            other = jnp.minimum(other, jnp.iinfo(one.dtype).max - one)
        total = one + other
    return total


def blend(first: Array, last: Array, weight: Array) -> Array:
    """first + (last - first) weight, exact at both ends; weight is held to [0, 1]."""
    inside = first + (last - first) * weight
    return jnp.where(weight <= 0.0, first, jnp.where(weight >= 1.0, last, inside))


def share(now: Array, steps: Scalar) -> Array:
    """now / steps, exactly 1 from now = steps on and not before: XLA may multiply by a rounded 1 / steps."""
    quotient = real(now) / jnp.maximum(real(steps), 1.0)
    below = 1.0 - jnp.finfo(quotient.dtype).epsneg
    return jnp.where(reached(now, steps), 1.0, jnp.minimum(quotient, below))


def half_cosine(p: Array) -> Array:
    """(1 + cos(pi p)) / 2, exactly 1 up to p = 0 and 0 from p = 1 on; as a square it keeps its digits near 0."""
    cosine = jnp.cos(0.5 * jnp.pi * jnp.clip(p, 0.0, 1.0))
    return jnp.where(p >= 1.0, 0.0, cosine * cosine)


def cycles(now: Array, length: Scalar) -> Array:
    """floor(now / length), right where the rounded quotient is not: k length <= now < (k + 1) length."""
    now, length = _alike(now, length)
    if jnp.issubdtype(now.dtype, jnp.integer):
        return real(now // length)
    number = jnp.floor(now / length)
    number = jnp.where(number * length > now, number - 1.0, number)
    return jnp.where((number + 1.0) * length <= now, number + 1.0, number)


def place_in_cycle(now: Array, length: Scalar) -> Array:
    """now - length floor(now / length)."""
    now, length = _alike(now, length)
    return now % length if jnp.issubdtype(now.dtype, jnp.integer) else now - cycles(now, length) * length


def part_of(fraction: Array, steps: Scalar) -> Array:
    """floor(fraction steps), where a product that is whole but for its rounding counts as whole (0.29 of 100: 29)."""
    steps = counted(steps)
    product = fraction * real(steps)
    found = jnp.floor(product + 2 * jnp.finfo(product.dtype).eps * product)
    if not jnp.issubdtype(steps.dtype, jnp.integer):
        return found
    below = jnp.asarray(_MOST_STEPS - 2**7, found.dtype)  # the greatest of float32 that int32 holds
    return jnp.minimum(jnp.minimum(found, below).astype(steps.dtype), steps)


def is_schedule(value: Any) -> bool:
    """Whether a value stands for a schedule: one of ours, or a function `step -> value`; no class or other product."""
    return callable(value) and not isinstance(value, type) and (isinstance(value, Schedule) or not is_product(value))


def value_at(rate: ScalarOrSchedule, step: Array) -> Array:
    """A number as it is, or a schedule's value at this step: what `learning_rate=` may be.

    Raises:
        InputError: the schedule gives no number, or looks at the step's value.
    """
    if not callable(rate):
        return real(rate)
    try:
        found = real(rate(step))
    except InputError:
        raise
    except (jax.errors.JAXTypeError, TypeError, ValueError) as error:
        hint = "A choice by the step is made with jnp.where; a schedule's factory has to be called."
        got = f" {type(error).__name__}: {' '.join(str(error).split())[:100].rstrip('.')}"
        fail("schedule", "value", "a number for each step", got, hint=hint)
    if found.shape != jnp.shape(step):
        fail("schedule", "value", "one number for a step", f" shape {found.shape}")
    return found


def as_schedule(function: str, argument: str, value: Any) -> ScalarOrSchedule:
    """A number or a schedule as it is, a function `step -> value` as a `custom` schedule."""
    wrong = callable(value) and not is_schedule(value)  # a class, a layer
    if isinstance(value, str | bool) or value is None or wrong:
        fail(function, argument, "a number or a schedule step -> value", value)
    return custom(value) if callable(value) and not is_product(value) else value


@factory(Schedule)
def constant(value: Scalar):
    """f(c) = value.

    Peers: as optax's constant_schedule; PyTorch's ConstantLR is a factor for the first steps, `piecewise_constant`
    here.

    Raises:
        InputError: the value is no finite number.
    """
    check_range("constant", "value", value)
    return lambda step: jnp.broadcast_to(real(value), step.shape)


@factory(Schedule, static=("function",))
def custom(function: Callable):
    """f(c) of your own: a function `step -> value` of JAX operations, so that it can stand where a schedule does.

    Two products are equal, and share one compiled program, when they hold the same function. It cannot be saved to a
    file; make a factory with `jaxann.core.factory` for that.

    Peers: every optax schedule is such a function.

    Raises:
        InputError: not a function.
    """
    if not is_schedule(function):
        fail("custom", "function", "a function step -> value", function)
    return lambda step: jnp.broadcast_to(real(function(step)), step.shape)


@factory(Schedule)
def scaled(rate: ScalarOrSchedule, scale: Scalar):
    """f(c) = scale rate(c), the rate being a number or a schedule.

    Peers: optax and PyTorch scale the updates, or the group's rate, instead.

    Raises:
        InputError: the scale is no finite number, or the rate neither that nor a schedule.
    """
    check_range("scaled", "scale", scale)
    if not is_schedule(rate):
        check_range("scaled", "rate", rate)
    return lambda step: jnp.broadcast_to(value_at(rate, step) * real(scale), step.shape)

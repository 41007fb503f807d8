"""What schedules share: numbers, steps and blends of two values; and the plainest of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory, is_product
from jaxann.core.products import Schedule
from jaxann.core.typing import Array, Scalar, ScalarOrSchedule

__all__ = [
    "as_schedule",
    "blend",
    "constant",
    "custom",
    "cycles",
    "half_cosine",
    "part_of",
    "real",
    "scaled",
    "share",
    "since",
    "value_at",
]


def real(value: Scalar) -> Array:
    """A number in the default floating type."""
    return jnp.asarray(value, jnp.result_type(float))


def since(step: Array, begin: Scalar = 0) -> Array:
    """Steps since `begin`, 0 before it."""
    return jnp.maximum(real(step) - real(begin), 0.0)


def blend(first: Array, last: Array, weight: Array) -> Array:
    """first + (last - first) weight, exact at both ends; weight is held to [0, 1]."""
    inside = first + (last - first) * weight
    return jnp.where(weight <= 0.0, first, jnp.where(weight >= 1.0, last, inside))


def share(now: Array, steps: Array) -> Array:
    """now / steps, exactly 1 from now = steps on: XLA may multiply by a rounded 1 / steps."""
    return jnp.where(now >= steps, 1.0, now / jnp.maximum(steps, 1.0))


def half_cosine(p: Array) -> Array:
    """(1 + cos(pi p)) / 2, exactly 1 up to p = 0 and 0 from p = 1 on; as a square it keeps its digits near 0."""
    cosine = jnp.cos(0.5 * jnp.pi * jnp.clip(p, 0.0, 1.0))
    return jnp.where(p >= 1.0, 0.0, cosine * cosine)


def cycles(now: Array, length: Array) -> Array:
    """floor(now / length), right where the rounded quotient is not: k length <= now < (k + 1) length."""
    number = jnp.floor(now / length)
    number = jnp.where(number * length > now, number - 1.0, number)
    return jnp.where((number + 1.0) * length <= now, number + 1.0, number)


def part_of(fraction: Array, steps: Array) -> Array:
    """floor(fraction steps), where a product that is whole but for its rounding counts as whole (0.29 of 100: 29)."""
    product = fraction * steps
    return jnp.floor(product + 2 * jnp.finfo(product.dtype).eps * product)


def value_at(rate: ScalarOrSchedule, step: Array) -> Array:
    """A number as it is, or a schedule's value at this step: what `learning_rate=` may be."""
    return real(rate(step)) if callable(rate) else real(rate)


def as_schedule(function: str, argument: str, value: Any) -> ScalarOrSchedule:
    """A number or a schedule as it is, a function `step -> value` as a `custom` schedule."""
    if isinstance(value, str | bool) or value is None:
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
    if not callable(function):
        fail("custom", "function", "a function step -> value", function)
    return lambda step: jnp.broadcast_to(real(function(step)), step.shape)


@factory(Schedule)
def scaled(rate: ScalarOrSchedule, scale: Scalar):
    """f(c) = scale rate(c), the rate being a number or a schedule.

    Peers: optax and PyTorch scale the updates, or the group's rate, instead.

    Raises:
        InputError: the scale is no finite number.
    """
    check_range("scaled", "scale", scale)
    return lambda step: jnp.broadcast_to(value_at(rate, step) * real(scale), step.shape)

"""Schedules made of schedules: one after the other, and a rise before any of them."""

from __future__ import annotations

import itertools
import numbers
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_count, check_range, fail
from jaxann.core.factories import factory, is_product
from jaxann.core.products import Schedule
from jaxann.core.typing import Array, Scalar, ScalarOrSchedule
from jaxann.schedules.base import as_schedule, blend, is_schedule, reached, real, share, since, value_at

__all__ = ["join", "warmup"]


def _as_schedules(schedules: Any) -> Any:
    if not isinstance(schedules, tuple | list) or not schedules:
        fail("join", "schedules", "a tuple of schedules", schedules)
    return tuple(as_schedule("join", "each of schedules", part) for part in schedules)


def _calls_a_function(part: Any) -> bool:
    """Whether a function that is no product of ours stands anywhere in a schedule."""
    if not is_product(part):
        return callable(part)
    return any(map(_calls_a_function, jax.tree.leaves(list(part.arguments.values()), is_leaf=is_product)))


def _given(part: Any, step: Array) -> Array:
    """The step as a schedule inside is given it: a whole number where it is one, real for functions of the user's."""
    return real(step) if _calls_a_function(part) else step


@factory(Schedule, convert={"schedules": _as_schedules})
def join(schedules: tuple, boundaries: tuple[Scalar, ...]):
    """f(c) = f_i(c - b_i) for the last i with c >= b_i, b_0 = 0: one schedule after the other, each from its own 0.

    Args:
        schedules: schedules or numbers; the step a function of your own is given is a floating-point number.
        boundaries: the steps at which the second and later ones begin, increasing; one fewer than schedules.

    Peers: as optax's join_schedules and PyTorch's SequentialLR.

    Raises:
        InputError: not one boundary fewer than schedules, or boundaries that do not increase.
    """
    if not isinstance(boundaries, tuple | list) or len(boundaries) != len(schedules) - 1:
        fail("join", "boundaries", f"a tuple of {len(schedules) - 1} steps, one fewer than schedules", boundaries)
    for bound in boundaries:
        check_count("join", "each of boundaries", bound, 0)
    for one, two in itertools.pairwise(boundaries):
        if isinstance(one, numbers.Real) and isinstance(two, numbers.Real) and two <= one:
            fail("join", "boundaries", "increasing", boundaries)
    for part in schedules:
        if not is_schedule(part):
            check_range("join", "each number of schedules", part)

    def value(step):
        now = since(step)
        found = jnp.broadcast_to(value_at(schedules[0], _given(schedules[0], now)), now.shape)
        for bound, part in zip(boundaries, schedules[1:], strict=True):
            found = jnp.where(reached(now, bound), value_at(part, _given(part, since(now, bound))), found)
        return found

    return value


@factory(Schedule, convert={"rate": lambda rate: as_schedule("warmup", "rate", rate)})
def warmup(rate: ScalarOrSchedule, steps: Scalar, *, start: Scalar = 0.0):
    """f(c) = start + (rate(0) - start) c / steps for c < steps, then rate(c - steps).

    Args:
        rate: a number or a schedule; its own step 0 is at step `steps`, so the whole is longer by that much.
        steps: steps of the linear rise; 0 for none.
        start: value at step 0.

    Peers: as optax's warmup_constant_schedule and warmup_exponential_decay_schedule; its warmup_cosine_decay_schedule
    counts the rise inside decay_steps, as `cosine(warmup=)` here.

    Raises:
        InputError: steps < 0, or the rate is neither a number nor a schedule.
    """
    check_count("warmup", "steps", steps, 0)
    check_range("warmup", "start", start)
    if not is_schedule(rate):
        check_range("warmup", "rate", rate)

    def value(step):
        now = since(step)
        top = value_at(rate, _given(rate, jnp.zeros_like(now)))
        climbing = blend(real(start), top, share(now, steps))
        return jnp.where(reached(now, steps), value_at(rate, _given(rate, since(now, steps))), climbing)

    return value

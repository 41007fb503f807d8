"""A step along a line that goes down far enough and ends where the slope is flat enough (strong Wolfe conditions)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.typing import Array, Scalar

__all__ = ["Found", "Point", "wolfe_step"]


class Point(NamedTuple):
    """A place on the line."""

    step: Array
    value: Array
    slope: Array


class Found(NamedTuple):
    """What the search came to."""

    step: Array  # 0 where no step goes down
    accepted: Array  # bool (), whether the step satisfies the conditions
    evaluations: Array  # int32 ()


class _Search(NamedTuple):
    evaluations: Array
    trial: Array
    low: Point  # the best step so far that goes down far enough; 0 at first
    high: Point  # once bracketed: between low and high there is a step that satisfies the conditions
    bracketed: Array
    accepted: Array
    ended: Array


def wolfe_step(
    at: Callable[[Array], tuple[Array, Array]],
    start: Point,
    trial: Array,
    *,
    c1: Scalar,
    c2: Scalar,
    most: int,
) -> Found:
    """A step a with f(a) <= f(0) + c1 a f'(0) and |f'(a)| <= c2 |f'(0)|, of at most `most` evaluations.

    The step grows until such a one is bracketed, then the bracket is narrowed by cubic interpolation, halved where that
    narrows it slowly. Where f(a) is f(0) but for rounding the second condition decides. A value that is not finite
    counts as too far. A search that ends without such a step gives the best that goes down far enough, and 0 if none
    does or if f does not go down at 0.

    Args:
        at: from a step to the value and the slope there, any dtype.
        start: step 0, in the dtype to reckon in.
        trial: the first step, > 0.
        c1, c2: 0 < c1 < c2 < 1.
        most: evaluations, at least 1.

    Source: Nocedal and Wright 2006, algorithms 3.5 and 3.6; Hager and Zhang 2005 (values lost in rounding).
    """
    dtype = start.slope.dtype
    c1, c2 = jnp.asarray(c1, dtype), jnp.asarray(c2, dtype)
    zero = jnp.zeros((), dtype)
    slack = 8 * _rounding(at, zero) * jnp.abs(start.value)
    downhill = jnp.isfinite(start.value) & (start.slope < 0) & jnp.isfinite(start.slope)

    def look(s: _Search) -> _Search:
        value, slope = at(s.trial)
        here = Point(s.trial, value.astype(dtype), slope.astype(dtype))
        finite = jnp.isfinite(here.value) & jnp.isfinite(here.slope)
        far_down = here.value <= start.value + c1 * here.step * start.slope
        lost = jnp.abs(here.value - start.value) <= slack
        accepted = finite & (far_down | lost) & (jnp.abs(here.slope) <= -c2 * start.slope)

        # Values that are equal but for rounding say nothing: there the slopes say where it goes down.
        risen = (here.value >= s.low.value) & (jnp.abs(here.value - s.low.value) > slack)
        beyond = ~finite | ~(far_down | lost) | risen
        span = jnp.where(s.bracketed, s.high.step - s.low.step, 1)
        turned = here.slope * span >= 0
        low = _pick(beyond & ~accepted, s.low, here)
        high = _pick(beyond, here, _pick(turned, s.low, s.high))
        bracketed = s.bracketed | beyond | turned
        width = jnp.abs(high.step - low.step)
        halved = s.bracketed & (width > 0.66 * jnp.abs(span))
        inside = _between(low, high, halved, slack)
        trial = jnp.where(bracketed, inside, _beyond(s.low, here, slack))
        ended = (
            accepted
            | (bracketed & (width <= 4 * jnp.finfo(dtype).eps * jnp.abs(low.step)))
            | (s.evaluations + 1 >= most)
        )
        return _Search(s.evaluations + 1, trial, low, high, bracketed, accepted, ended)

    no = jnp.zeros((), bool)
    first = _Search(jnp.zeros((), jnp.int32), trial.astype(dtype), start, start, no, no, ~downhill)
    last = lax.while_loop(lambda s: ~s.ended, look, first)
    return Found(last.low.step, last.accepted, last.evaluations)


def _rounding(at: Callable, zero: Array) -> Array:
    """The machine epsilon of the values."""
    value, _ = jax.eval_shape(at, zero)
    return jnp.asarray(jnp.finfo(value.dtype).eps, zero.dtype)


def _pick(condition: Array, yes: Point, no: Point) -> Point:
    return Point(*(jnp.where(condition, a, b) for a, b in zip(yes, no, strict=True)))


def _cubic(a: Point, b: Point) -> Array:
    """The minimum of the cubic through both points with both slopes; not finite where it has none."""
    width = b.step - a.step
    bend = a.slope + b.slope - 3 * (b.value - a.value) / width
    square = bend * bend - a.slope * b.slope
    square_root = jnp.sign(width) * jnp.sqrt(jnp.where(square >= 0, square, jnp.nan))
    return b.step - width * (b.slope + square_root - bend) / (b.slope - a.slope + 2 * square_root)


def _between(low: Point, high: Point, halved: Array, slack: Array) -> Array:
    """The next step inside the bracket, a tenth of its width from either end."""
    width = high.step - low.step
    lost = jnp.abs(high.value - low.value) <= slack  # the values say nothing more, the slopes do
    secant = low.step - low.slope * width / (high.slope - low.slope)
    step = jnp.where(lost, secant, _cubic(low, high))
    share = jnp.clip((step - low.step) / width, 0.1, 0.9)
    share = jnp.where(jnp.isfinite(share) & ~halved, share, 0.5)
    return low.step + jnp.where(jnp.isfinite(high.value), share, 0.2) * width


def _beyond(before: Point, here: Point, slack: Array) -> Array:
    """The next step outside: where the cubic has its minimum, from twice to five times as far."""
    gone = here.step - before.step
    lost = jnp.abs(here.value - before.value) <= slack
    secant = here.step - here.slope * gone / (here.slope - before.slope)
    share = (jnp.where(lost, secant, _cubic(before, here)) - here.step) / gone
    return here.step + jnp.where(jnp.isfinite(share) & (share > 0), jnp.clip(share, 1.1, 4), 4) * gone

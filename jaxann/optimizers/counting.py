"""Counters of steps: they stop at the greatest whole number, where one more would be the most negative.

Rules and wrappers count with `next_step` and ask with `is_due`, so that none of them can wrap.
"""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.typing import Array, Scalar

__all__ = ["MOST_STEPS", "is_due", "minus", "multiple", "next_step"]

MOST_STEPS = 2**31 - 1  # what int32 holds


def next_step(step: Array) -> Array:
    """step + 1, and no more than 2^31 - 1."""
    return jnp.minimum(step, jnp.asarray(MOST_STEPS - 1, step.dtype)) + 1


def is_due(step: Array, period: Scalar) -> Array:
    """Whether a counter stands at a multiple of the period; always where it stands still, which is at a prime."""
    return (step % jnp.asarray(period, step.dtype) == 0) | (step == MOST_STEPS)


def minus(step: Array, offset: Scalar) -> Array:
    """step - offset of a counter >= 0, held to what int32 holds where the offset is negative."""
    offset = jnp.asarray(offset, step.dtype)
    return jnp.minimum(step, MOST_STEPS + jnp.minimum(offset, 0)) - offset


def multiple(number: int, period: Scalar) -> Array:
    """number period as a counter, for number >= 0 and period >= 1: the greatest where it is beyond all counters."""
    period = jnp.asarray(period, jnp.int32)
    return jnp.where(period > MOST_STEPS // max(number, 1), MOST_STEPS, number * period)

"""Gradients and sums whose squares stay finite: one wild gradient must not stop a rule for ever.

A mean or a sum of squares that is infinite once stays so, and every later step is g / inf = 0. A gradient overflows
when it is squared long before it is infinite itself, in float32 above 1.8e19.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.typing import Array, Params
from jaxann.optimizers.base import widened

__all__ = ["bounded", "capped"]


def bounded(grads: Params) -> Params:
    """Every leaf in float32 or better, finite numbers cut to 2^60 (2^508 in float64); NaN and infinities as they are.

    The gradient itself is cut, not its square alone, so that its mean and the mean of its squares stay of one size and
    a step g / sqrt(v) is no longer than after any other gradient. The squares of sums of a few stay finite too.
    """

    def one(g):
        limit = g.dtype.type(2.0 ** (jnp.finfo(g.dtype).maxexp // 2 - 4))
        return lax.select(lax.is_finite(g), lax.clamp(-limit, g, limit), g)  # three operations, in every step

    return jax.tree.map(one, widened(grads))


def capped(squares: Array) -> Array:
    """At most a quarter of the greatest number: what a mean of such numbers can be rounded up from; NaN stays NaN."""
    return jnp.minimum(squares, jnp.finfo(squares.dtype).max / 4)

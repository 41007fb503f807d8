"""Gradients and sums whose squares stay finite: one wild gradient must not stop a rule for ever.

A mean or a sum of squares that is infinite once stays so, and every later step is g / inf = 0. A gradient overflows
when it is squared long before it is infinite itself, in float32 above 1.8e19.

A trainer looks at the norm of the gradient anyway, and says of which it has found to be within the bound
(`seen_within`): a rule that is handed that very gradient cuts nothing, three operations less on every number of a step.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Params

__all__ = ["bounded", "capped", "greatest", "seen_within"]

_SEEN: contextvars.ContextVar[dict[int, Any] | None] = contextvars.ContextVar("_SEEN", default=None)


def greatest(grads: Params) -> float:
    """What the numbers of such gradients are cut to: 2^60, or 2^508 if all are float64."""
    limits = (jnp.finfo(wide_dtype(leaf.dtype)) for leaf in jax.tree.leaves(grads))
    return min((2.0 ** (limit.maxexp // 2 - 4) for limit in limits), default=1.0)


@contextlib.contextmanager
def seen_within(grads: Params) -> Iterator[None]:
    """Within, these arrays are known to be no greater than that, and finite; not what is made of them."""
    token = _SEEN.set({id(leaf): leaf for leaf in jax.tree.leaves(grads)})
    try:
        yield
    finally:
        _SEEN.reset(token)


def bounded(grads: Params) -> Params:
    """Every leaf in float32 or better, finite numbers cut to 2^60 (2^508 in float64); NaN and infinities as they are.

    The gradient itself is cut, not its square alone, so that its mean and the mean of its squares stay of one size and
    a step g / sqrt(v) is no longer than after any other gradient. The squares of sums of a few stay finite too.
    """
    seen = _SEEN.get() or {}

    def one(g):
        if id(g) in seen and g.dtype == wide_dtype(g.dtype):
            return g
        wide = g.astype(wide_dtype(g.dtype))
        limit = wide.dtype.type(greatest(wide))
        return lax.select(lax.is_finite(wide), lax.clamp(-limit, wide, limit), wide)

    return jax.tree.map(one, grads)


def capped(squares: Array) -> Array:
    """At most a quarter of the greatest number: what a mean of such numbers can be rounded up from; NaN stays NaN."""
    return jnp.minimum(squares, jnp.finfo(squares.dtype).max / 4)

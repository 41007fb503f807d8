"""What the order of scores says: how often one group scores above another, and precision on the way down the list.

Scores equal to each other share one place, so the order of the examples never matters.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann.core.typing import Array

__all__ = ["around", "binned_precision", "binned_wins", "precision_of", "wins"]


def around(scores: Array, weights: Array) -> tuple[Array, Array, Array]:
    """The order of the scores from low to high, and the weight below and up to each place's group of equal scores.

    Args:
        scores: `(n,)`.
        weights: `(n, groups)`.

    Returns:
        `(order, below, through)`: `(n,)`, and `(n, groups)` twice in that order.
    """
    count = scores.shape[0]
    order = jnp.argsort(scores)
    scores, sums = scores[order], jnp.cumsum(weights[order], 0)
    number = jnp.arange(count, dtype=jnp.int32)
    new = scores != jnp.roll(scores, 1)
    first = lax.cummax(jnp.where(new, number, 0))
    last = lax.cummin(jnp.where(jnp.roll(new, -1), number, count - 1), reverse=True)
    before = jnp.concatenate([jnp.zeros_like(sums[:1]), sums])
    return order, before[first], sums[last]


def wins(scores: Array, own: Array, others: Array) -> Array:
    """P(own score > other's) + P(equal) / 2 for each group of others, `(groups,)`; NaN where one has no weight.

    Args:
        scores: `(n,)`.
        own: weights `(n,)` of the examples that should score high.
        others: weights `(n, groups)` of those that should score low.
    """
    own, others = _unscaled(own, 0), _unscaled(others, 0)
    order, below, through = around(scores, others)
    # sums of products, as a matrix product may be rounded to fewer digits on an accelerator
    won = jnp.sum(lax.expand_dims(own[order], [1]) * (below + through), 0) / 2
    return _share(won, jnp.sum(own), jnp.sum(others, 0))


def binned_wins(own: Array, others: Array) -> Array:
    """The same from weights per bin, low to high: `(bins,)` and `(groups, bins)`; equal is who shares a bin."""
    own, others = _unscaled(own, 0), _unscaled(others, -1)
    through = jnp.cumsum(others, -1)
    won = jnp.sum((through - others / 2) * lax.expand_dims(own, [0]), -1)
    return _share(won, jnp.sum(own), jnp.sum(others, -1))


def _unscaled(weights: Array, axis: int) -> Array:
    """Weights times a power of two that brings their greatest to [0.5, 1): products of two sums stay numbers."""
    greatest = jnp.max(weights, axis, keepdims=True, initial=0)
    _, exponent = jnp.frexp(jnp.where(jnp.isfinite(greatest), greatest, 0))
    return jnp.ldexp(weights, jnp.broadcast_to(-exponent, weights.shape))


def _share(won: Array, own: Array, others: Array) -> Array:
    pairs = own * others
    return jnp.where(pairs == 0, jnp.nan, won / jnp.where(pairs == 0, 1, pairs))


def precision_of(scores: Array, own: Array, others: Array) -> Array:
    """sum_n (R_n - R_(n-1)) P_n down the list, a step at each score; weights `(n,)`.

    0 where `own` has none, NaN where nobody has.
    """
    order, _, through = around(-scores, jnp.stack([own, others], 1))
    return _steps(own[order], through[:, 0], through[:, 1])


def binned_precision(own: Array, others: Array) -> Array:
    """The same from weights per bin, low to high, `(bins,)` each; a step at each bin."""
    own, others = own[::-1], others[::-1]
    return _steps(own, jnp.cumsum(own), jnp.cumsum(others))


def _steps(own: Array, through: Array, others: Array) -> Array:
    reached = through + others
    precision = through / jnp.where(reached == 0, 1, reached)
    total = jnp.sum(own)
    none = jnp.where(jnp.max(reached, initial=0) == 0, jnp.nan, 0)
    return jnp.where(total == 0, none, jnp.sum(own * precision) / jnp.where(total == 0, 1, total))

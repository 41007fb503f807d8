"""The cost and its derivative by the predictions: where every backward pass begins.

    C = sum_i w_i l_i / sum_i w_i,   l_i the mean of example i's values

which is the mean that training minimizes: what a loss says about the weight of its targets (class weights, labels to be
ignored) counts in both sums, and an example of weight 0 is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.backprop.deltas import loss_pull
from jaxann.core.checks import fail
from jaxann.core.products import Mixed
from jaxann.core.typing import Array
from jaxann.losses import target_weights

__all__ = ["cost_and_gradient"]


def cost_and_gradient(
    loss: Callable, predictions: Array, targets: Any, weights: Array | None = None
) -> tuple[Array, Array]:
    """`(C, G)`: the cost and dC/dpredictions.

    With T = sum_i w_i (of the targets' own weights too) every value v of example i has dC/dv = w_i / T, or
    w_i / (T values an example) where an example counts once with their mean. The table of losses has the rest.

    Args:
        loss: a function of the table of losses, settings bound to it by `functools.partial` or not.
        predictions: the model's output.
        targets: as the loss takes them; or `Mixed`, the weighted mean of the costs of both.
        weights: `(batch,)`, or None for ones.

    Raises:
        InputError: the loss has no rule, is a mean already, or does not fit the shapes.
    """
    sums, counts, pull = _example_sums(loss, predictions, targets)
    if weights is not None:
        weights = jnp.asarray(weights)
        if weights.shape != sums.shape:
            fail("loss", "weights", f"one for each example {sums.shape}", f" shape {weights.shape}")
    if weights is None:
        total = jnp.asarray(sums.shape[0], sums.dtype) if counts is None else jnp.sum(counts)
        cost, by_sum = jnp.sum(sums), jnp.ones_like(sums)
    else:
        by_sum = weights.astype(sums.dtype)
        total = jnp.sum(by_sum if counts is None else by_sum * counts)
        cost = jnp.sum(jnp.where(by_sum == 0, 0, by_sum * sums))
    total = jnp.where(total == 0, 1, total)
    return cost / total, pull(by_sum / total)


def _example_sums(
    loss: Callable, predictions: Array, targets: Any
) -> tuple[Array, Array | None, Callable[[Array], Array]]:
    """For each example the sum of its values (or their mean), what it counts for, and the way back to predictions."""
    if isinstance(targets, Mixed):
        return _mixed(loss, predictions, targets)
    pull, args, settings = loss_pull(loss)
    if not isinstance(targets, jax.Array):
        targets = np.asarray(targets)  # a list too
    values = loss(predictions, targets)
    if values.ndim == 0 or targets.ndim == 0 or values.shape[0] != targets.shape[0]:
        hint = "A loss never averages; the cost is the weighted mean."
        fail("loss", "values", f"one for each example {targets.shape[:1]}", f" shape {values.shape}", hint=hint)
    each = math.prod(values.shape[1:])
    rows = (values.shape[0], each)
    counts = target_weights(loss, targets)

    def back(by_sum: Array) -> Array:
        share = by_sum if counts is not None or values.ndim < 2 else by_sum / each
        g = jnp.broadcast_to(lax.expand_dims(share, range(1, values.ndim)), values.shape)
        return pull(g, *args, predictions, targets, **settings)

    if counts is not None:
        counts = jnp.broadcast_to(counts.astype(values.dtype), values.shape)
        return jnp.sum(values.reshape(rows), -1), jnp.sum(counts.reshape(rows), -1), back
    return (jnp.mean(values.reshape(rows), -1) if values.ndim > 1 else values), None, back


def _mixed(loss: Callable, predictions: Array, targets: Mixed) -> tuple[Array, Array | None, Callable[[Array], Array]]:
    """s l(first) + (1 - s) l(second) for each example: each loss's way back gets its share of the gradient."""
    sums, counts, back = _example_sums(loss, predictions, targets.first)
    others, other_counts, other_back = _example_sums(loss, predictions, targets.second)
    share = targets.share.astype(sums.dtype)
    if counts is not None and other_counts is not None:
        counts = share * counts + (1 - share) * other_counts
    whole = share == 1  # the other one is left out, also where it is not finite
    sums = jnp.where(whole, sums, share * sums + (1 - share) * jnp.where(whole, 0, others))

    def both(by_sum: Array) -> Array:
        first = back(by_sum * share)
        second = other_back(by_sum * (1 - share))
        left_out = lax.expand_dims(whole, range(1, second.ndim))
        return first + jnp.where(jnp.broadcast_to(left_out, second.shape), 0, second)

    return sums, counts, both

"""Sums that grow batch by batch: weights of examples, the weighted mean, and how two parts are merged.

Sums are kept in the default float. In float32 a count is exact up to 2^24 = 16,777,216; beyond it single examples of
weight 1 no longer change it. Work in float64 (`jax.enable_x64`) where one cell holds more.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import fail
from jaxann.core.products import Metric
from jaxann.core.typing import Array

__all__ = [
    "MeanSums",
    "add_mean",
    "added",
    "broadcast_weights",
    "check_weights",
    "flat_weights",
    "mean",
    "merge",
    "merge_across",
    "no_mean",
    "real",
    "zeros",
]


def added(a: Any, b: Any) -> Any:
    """Field by field: the merge of sums that are plain sums."""
    return jax.tree.map(jnp.add, a, b)


class MeanSums(NamedTuple):
    """A weighted mean in the making."""

    total: Array
    weight: Array

    combined = added


def merge(metric: Metric, a: Any, b: Any) -> Any:
    """The sums of two parts as the sums of the whole; in any order and grouping.

    Args:
        metric: what the sums belong to.
        a, b: sums from its `update`, of one kind and shape.

    Raises:
        InputError: the two are no sums, or of two kinds or shapes.
    """
    same = type(a) is type(b) and hasattr(a, "combined")
    if not same or [jnp.shape(x) for x in a] != [jnp.shape(x) for x in b]:
        shown = f" {_kind(a)} and {_kind(b)}"
        fail("metrics.streaming.merge", "a and b", f"two sums of {metric!r}", shown)
    return a.combined(b)


def merge_across(metric: Metric, sums: Any, axis_name: str) -> Any:
    """The sums of all devices along a mapped axis, on each of them: for use inside `jax.shard_map` or `jax.vmap`.

    Plain sums go through one `psum`; means with their deviations and stored rows are gathered and merged in order.

    Args:
        metric: what the sums belong to.
        sums: this device's part.
        axis_name: the mapped axis.
    """
    if getattr(type(sums), "combined", None) is added:
        return lax.psum(sums, axis_name)
    gathered = lax.all_gather(sums, axis_name)
    pieces = [jax.tree.map(lambda a, i=i: a[i], gathered) for i in range(jax.tree.leaves(gathered)[0].shape[0])]
    return reduce(lambda a, b: merge(metric, a, b), pieces)


def _kind(sums: Any) -> str:
    shapes = ", ".join(str(jnp.shape(x)) for x in sums) if hasattr(sums, "combined") else ""
    return f"{type(sums).__name__}{f' of {shapes}' if shapes else ''}"


def real(value: Any) -> Array:
    """In the default float: float32, or float64 under jax_enable_x64."""
    return jnp.asarray(value, jnp.result_type(float))


def zeros(*shape: int) -> Any:
    """Nothing yet, as a NumPy array: no program is compiled before shapes are checked."""
    return np.zeros(shape, jnp.result_type(float))


def check_weights(function: str, weights: Array | None, shape: tuple[int, ...]) -> None:
    """One weight an example, or one for each of several leading axes."""
    if weights is not None and weights.shape != shape[: weights.ndim]:
        fail(function, "weights", f"of shape {shape[:1]}, one an example", f" shape {weights.shape}")


def broadcast_weights(weights: Array | None, shape: tuple[int, ...]) -> Array:
    """One weight an example, the same for whatever follows the batch axis; scalar weights for no axes."""
    if weights is None:
        return jnp.ones(shape, jnp.result_type(float))
    return jnp.broadcast_to(lax.expand_dims(real(weights), range(weights.ndim, len(shape))), shape)


def flat_weights(function: str, weights: Array | None, shape: tuple[int, ...]) -> Array:
    """The same, checked, as one row `(n,)`."""
    check_weights(function, weights, shape)
    return broadcast_weights(weights, shape).reshape(-1)


def no_mean() -> MeanSums:
    """The mean of nothing."""
    return MeanSums(zeros(), zeros())


def add_mean(sums: MeanSums, values: Array, weights: Array | None) -> MeanSums:
    """The mean with these values counted in; one weight an example."""
    weight = broadcast_weights(weights, values.shape)
    # where, not a product alone: a NaN in padding must not leak
    total = jnp.sum(jnp.where(weight == 0, 0, weight * real(values)))
    return MeanSums(sums.total + total, sums.weight + jnp.sum(weight))


def mean(sums: MeanSums) -> Array:
    """The mean; 0 of nothing."""
    return jnp.where(sums.weight == 0, 0, sums.total / jnp.where(sums.weight == 0, 1, sums.weight))

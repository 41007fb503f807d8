"""Sums that grow batch by batch: weights of examples, the weighted mean, and how two parts are merged.

A float32 number stands still at 2^24 = 16,777,216 when ones are added to it. So each sum is kept as two numbers of the
default float: itself, and what rounding has left out of it, which the next sum takes in again. A count is then exact up
to 2^48, any other sum to a relative 1e-7 however many batches there are.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_array, fail
from jaxann.core.products import Metric
from jaxann.core.typing import Array

__all__ = [
    "MeanSums",
    "add_mean",
    "added",
    "broadcast_weights",
    "check_given",
    "check_weights",
    "flat_weights",
    "gathered",
    "mean",
    "merge",
    "merge_across",
    "no_mean",
    "real",
    "summed_by",
    "totals",
    "two_sum",
    "whole_of",
    "zeros",
]

_BLOCK, _LARGE_BLOCK = 2**11, 2**22  # rows added up before rounding is looked at; the larger for many places
_STRIPS, _CELLS = 2**7, 2**14  # cells of one place, and of all


def two_sum(a: Array, a_rest: Any, b: Array, b_rest: Any = 0.0) -> tuple[Array, Array]:
    """a + b and what rounding leaves out of it, for sums that come with such rests (Knuth 1969)."""
    total = a + b
    gained = total - a
    lost = (a - (total - gained)) + (b - gained)
    rest = jnp.where(jnp.isfinite(total), lost + (a_rest + b_rest), 0)
    whole = total + rest
    return whole, jnp.where(jnp.isfinite(whole), rest - (whole - total), 0)


def gathered(total: Array, rest: Array, more: Array) -> tuple[Array, Array]:
    """As `two_sum`, in fewer steps: the rests are only added up, for `whole_of` to take in when all sums are made."""
    grown = total + more
    gained = grown - total
    return grown, rest + ((total - (grown - gained)) + (more - gained))


def whole_of(total: Array, rest: Array) -> Array:
    """What `gathered` has added up; infinite where it overflowed."""
    return jnp.where(jnp.isfinite(total), total + rest, total)


def added(a: Any, b: Any) -> Any:
    """The merge of sums that are plain sums: fields, then as many rests in the same order."""
    half = len(a) // 2
    both = [two_sum(a[i], a[half + i], b[i], b[half + i]) for i in range(half)]
    return type(a)(*(whole for whole, _ in both), *(rest for _, rest in both))


def totals(sums: Any) -> list[Array]:
    """The fields of sums that are plain sums, each with its rest."""
    half = len(sums) // 2
    return [sums[i] + sums[half + i] for i in range(half)]


def summed_by(place: Array, values: Array, size: int) -> tuple[Array, Array]:
    """The sum of `values` `(n, ...)` by place 0..size-1, `(size, ...)`, and its rest.

    A cell's values are added up one by one, which drifts where they are many: so they are few for each cell and block.
    """
    strips = max(1, min(_STRIPS, _CELLS // size))  # rows that follow each other are added to different cells
    rows, cells = values.shape[0], size * strips
    block = max(_BLOCK, min(4 * cells, _LARGE_BLOCK))
    blocks = max(-(-rows // block), 1)
    padding = blocks * block - rows

    def of_block(place, values):
        place = place * strips + jnp.arange(place.shape[0], dtype=place.dtype) % strips
        found = jnp.zeros((cells, *values.shape[1:]), values.dtype).at[place].add(values)
        return jnp.sum(found.reshape(size, strips, *values.shape[1:]), 1)

    nothing = jnp.zeros((size, *values.shape[1:]), values.dtype)
    if blocks == 1:
        return of_block(place, values), nothing
    place = jnp.pad(place, (0, padding)).reshape(blocks, block)
    values = jnp.pad(values, ((0, padding), *((0, 0),) * (values.ndim - 1))).reshape(blocks, block, *values.shape[1:])

    def step(sums, given):
        return two_sum(sums[0], sums[1], of_block(*given)), None

    return lax.scan(step, (nothing, nothing), (place, values))[0]


class MeanSums(NamedTuple):
    """A weighted mean in the making."""

    total: Array
    weight: Array
    total_rest: Any = 0.0  # what rounding has left out
    weight_rest: Any = 0.0

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


def check_given(function: str, predictions: Any, targets: Any, weights: Any = None) -> None:
    """Arrays of real numbers, with a shape to be looked at."""
    for argument, value in (("predictions", predictions), ("targets", targets), ("weights", weights)):
        if argument != "weights" or value is not None:
            check_array(function, argument, value)


def check_weights(function: str, weights: Array | None, shape: tuple[int, ...]) -> None:
    """One weight an example, or one for each of several leading axes."""
    if weights is not None:
        check_array(function, "weights", weights)
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
    return MeanSums(*(zeros() for _ in range(4)))


def add_mean(sums: MeanSums, values: Array, weights: Array | None) -> MeanSums:
    """The mean with these values counted in; one weight an example."""
    weight = broadcast_weights(weights, values.shape)
    # where, not a product alone: a NaN in padding must not leak
    total = jnp.sum(jnp.where(weight == 0, 0, weight * real(values)))
    return sums.combined(MeanSums(total, jnp.sum(weight)))


def mean(sums: MeanSums) -> Array:
    """The mean; NaN of nothing, which is neither good nor bad."""
    total, weight = totals(sums)
    return jnp.where(weight == 0, jnp.nan, total / jnp.where(weight == 0, 1, weight))

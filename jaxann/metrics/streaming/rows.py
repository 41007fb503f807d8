"""Examples kept one by one, for figures that need all of them: a buffer of fixed length that is never cut silently."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.typing import Array

__all__ = ["Rows", "add_rows", "empty_rows", "kept"]


class Rows(NamedTuple):
    """Values `(capacity, columns)` and weights `(capacity,)` of the examples so far, and how many there were."""

    values: Any
    weights: Any
    count: Any  # int32 (); above the capacity some are lost, and every figure is NaN

    def combined(self, other: Rows) -> Rows:
        """The rows of both, one after the other; the capacity stays."""
        joined = add_rows(self, other.values, other.weights)
        return joined._replace(count=self.count + other.count)


def empty_rows(capacity: int, columns: int) -> Rows:
    """No rows yet, as NumPy arrays: no program is compiled before what is to be counted in has been checked."""
    dtype = jnp.result_type(float)
    return Rows(np.zeros((capacity, columns), dtype), np.zeros(capacity, dtype), np.zeros((), np.int32))


def add_rows(rows: Rows, values: Array, weights: Array) -> Rows:
    """The rows with more of them, `(n, columns)` with weights `(n,)`; those of weight 0 take no place."""
    capacity = rows.weights.shape[0]
    counts = weights != 0
    place = rows.count + jnp.cumsum(counts, dtype=jnp.int32) - 1
    place = jnp.where(counts, jnp.minimum(place, capacity), capacity)  # the place behind the last is dropped
    return Rows(
        jnp.asarray(rows.values).at[place].set(values, mode="drop"),
        jnp.asarray(rows.weights).at[place].set(weights, mode="drop"),
        rows.count + jnp.sum(counts, dtype=jnp.int32),
    )


def kept(rows: Rows) -> tuple[Array, Array]:
    """Values and weights; all values NaN if any is, or if the rows did not fit. Free places have weight 0."""
    used = lax.broadcasted_iota(jnp.int32, rows.values.shape, 0) < rows.count
    spoilt = (rows.count > rows.weights.shape[0]) | jnp.any(used & jnp.isnan(rows.values))
    return jnp.where(spoilt, jnp.nan, rows.values), jnp.asarray(rows.weights)

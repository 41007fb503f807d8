"""Columns of numbers, on the host or in a program: the same formulas for both.

A numpy array is computed with in float64, where a column such as 1.7e9 + seconds keeps its digits, and without
compiling anything; a JAX array in float32 or better, traced or not. The two differ by rounding alone, which the tests
of the room hold them to. Missing numbers are NaN: they count in no statistics and stay NaN, unless it is said that they
are filled in.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_array, check_unmasked, fail, is_concrete
from jaxann.core.padding import Padded
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = [
    "aligned",
    "beside",
    "check_columns",
    "columns_of",
    "concatenated",
    "counted",
    "is_constant",
    "namespace",
    "narrowed",
    "nonzero",
    "quantiles",
    "rowwise",
    "values_of",
]

_ROUNDINGS = 16  # that the mean of a constant column may be off by, in 32 bits


def namespace(*arrays: Any) -> Any:
    """numpy where all arrays are the host's, else jax.numpy."""
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np


def columns_of(function: str, x: Array) -> Array:
    """x in float64, or float32 or better where it is a JAX array.

    Raises:
        InputError: x is no array of numbers with an axis of examples, or a number is infinite.
    """
    check_unmasked(function, "x", x)
    if isinstance(x, Padded):
        fail(function, "x", "an array", " Padded sequences", hint="fit(x.values, x.mask), transform(state, x.values).")
    given: Any = x
    if not isinstance(x, jax.Array | np.ndarray):
        try:
            given = np.asarray(x)
        except ValueError:
            fail(function, "x", "an array of numbers", " rows of unequal lengths")
    check_array(function, "x", given)
    return _wide(function, given)


def _wide(function: str, x: Any) -> Array:
    if x.ndim == 0 or np.dtype(x.dtype).kind not in "fiub" and x.dtype != jnp.bfloat16:
        fail(function, "x", "numbers of shape (examples, ..., columns)", f" {x.dtype} of shape {tuple(x.shape)}")
    if isinstance(x, jax.Array):
        floating = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
        wide = floating.astype(wide_dtype(floating.dtype))
    else:
        wide = x.astype(np.float64)
    if is_concrete(wide) and (infinite := np.isinf(np.asarray(wide))).any():
        first = ", ".join(map(str, np.argwhere(infinite)[0]))
        fail(function, "x", "finite, or NaN where it is missing", f" {int(infinite.sum())} infinite, the first at "
             f"[{first}]")  # fmt: skip
    return wide


def aligned(x: Array, *learned: Any) -> tuple[Array, ...]:
    """x and numbers of its columns, all of the kind, the floating-point type and the rank of x; one number has no rank.

    An x of the host becomes a JAX array where a number is traced, which numpy cannot compute with.
    """
    if not all(map(is_concrete, learned)) and not isinstance(x, jax.Array):
        x = jnp.asarray(x)
    arrays = [namespace(x).asarray(one, x.dtype) for one in learned]
    return x, *(one.reshape((1,) * (x.ndim - one.ndim) + one.shape) if one.ndim else one for one in arrays)


def narrowed(z: Array, x: Array) -> Array:
    """z in the floating-point type of x, float32 for whole numbers."""
    given = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
    dtype = given if jnp.issubdtype(given, jnp.floating) else np.float32
    return z.astype(jax.dtypes.canonicalize_dtype(dtype) if isinstance(z, jax.Array) else dtype)


def counted(function: str, x: Array, where: Array | None) -> Array:
    """True where a number of x counts: it is there, and `where` says so.

    Raises:
        InputError: where is not of the shape of x or of its first axes.
    """
    real = ~namespace(x).isnan(x)
    if where is None:
        return real
    counts: Any = where if isinstance(where, jax.Array) else np.asarray(where)
    if counts.shape != x.shape[: counts.ndim] or counts.ndim == 0:
        fail(function, "where", f"of shape {tuple(x.shape)} or of its first axes", f" shape {tuple(counts.shape)}")
    both = counts.astype(bool).reshape(counts.shape + (1,) * (x.ndim - counts.ndim))
    return real & namespace(x, counts).broadcast_to(both, x.shape)


def values_of(function: str, x: Array, where: Array | None) -> Array:
    """x `(n, columns)` or `(n,)`, all axes but the last one after the other, NaN where a number does not count."""
    wide = columns_of(function, x)
    real = counted(function, wide, where)
    values = namespace(wide, real).where(real, wide, np.nan)
    return values if values.ndim == 1 else values.reshape(-1, values.shape[-1])


def rowwise(statistic: Array, x: Array) -> Array:
    """A number for each column, of the shape and the kind of x."""
    held = beside(statistic, x)
    return namespace(held, x).broadcast_to(held, x.shape)


def beside(learned: Array, x: Array) -> Array:
    """What was learned, as x is computed with: on the host or in a program, numbers in the floating-point type of x."""
    dtype = x.dtype if jnp.issubdtype(learned.dtype, jnp.floating) else learned.dtype
    if isinstance(x, jax.Array):
        return jnp.asarray(learned, dtype)
    return np.asarray(learned, dtype) if is_concrete(learned) else learned


def concatenated(a: Any, b: Any) -> Any:
    """The rows of both, leaf by leaf."""
    return jax.tree.map(lambda one, other: namespace(one, other).concatenate([one, other]), a, b)


def quantiles(values: Array, shares: tuple[float, ...]) -> list[Array]:
    """Of each column the number below which such a share of those lies that are there, by linear interpolation.

    With n numbers in order, x_(0) to x_(n - 1), the one of share q stands at q (n - 1): SciPy's and numpy's default.
    NaN for a column of none.
    """
    xp = namespace(values)
    if values.shape[0] == 0:
        values = xp.full((1, *values.shape[1:]), np.nan, values.dtype)  # of no rows as of none that is there
    ordered = xp.sort(values, 0)  # NaN last
    count = xp.sum(~xp.isnan(values), 0).astype(np.int32)
    found = []
    for share in shares:
        place = share * (xp.maximum(count, 1) - 1).astype(values.dtype)
        last = xp.maximum(count, 1) - 1
        below = xp.minimum(xp.floor(place).astype(np.int32), last)  # beyond it by rounding, of many rows
        above = xp.minimum(below + 1, last)
        low, high = (xp.take_along_axis(ordered, at[None], 0)[0] for at in (below, above))
        found.append(low + (high - low) * (place - below.astype(values.dtype)))
    return found


def nonzero(scale: Array, otherwise: float = 1.0) -> Array:
    """The scale, and 1 where it is 0 or of a column of no numbers."""
    xp = namespace(scale)
    return xp.where((scale == 0) | xp.isnan(scale), xp.asarray(otherwise, scale.dtype), scale)


def is_constant(variance: Array, mean: Array, count: Array) -> Array:
    """Whether a variance is no more than rounding leaves of a constant column.

    The bound grows with the count, as of a plain sum, in 64 bits alone: in 32 bits a million rows would make a constant
    of whatever varies by less than a tenth of its mean. Means are corrected, and are off by some roundings at most.
    """
    info = np.finfo(variance.dtype)
    if info.bits < 64:
        count = namespace(count).minimum(count, _ROUNDINGS)
    eps = float(info.eps)
    return variance <= count * eps * variance + (count * mean * eps) ** 2


def check_columns(function: str, learned: Array, x: Array) -> None:
    """x has the columns that were learned from.

    Raises:
        InputError: it has not.
    """
    wanted, given = tuple(learned.shape), tuple(x.shape[1:])[-1:]
    if wanted != given:
        expected = f"of {wanted[0]} columns, as what was learned from" if wanted else "of shape (examples,)"
        fail(function, "x", expected, f" shape {tuple(x.shape)}")

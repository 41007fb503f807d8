"""Columns brought to a given distribution by their ranks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import Array
from jaxann.preprocessing.columns import beside, check_columns, columns_of, concatenated, namespace, narrowed, values_of

__all__ = ["quantile"]

_MOST = 46341  # references whose squares are whole numbers of 32 bits
_TAIL = 1e-7  # the probability at which a normal column ends


@factory(Preprocessor, static=("references",))
def quantile(references: int = 1000, *, distribution: str = "uniform"):
    """z = the share of the training numbers below x, by linear interpolation between quantiles; or the normal number of
    that share.

    Whatever the distribution of a column was, that of z is uniform on [0, 1], or standard normal: wild numbers lose
    their weight. Of quantiles that are equal, for many numbers are, the middle one counts. Numbers outside go to the
    ends, those of the normal distribution being where the tails have 1e-7, about -5.2 and 5.2.

    Args:
        references: how many quantiles are learned, evenly from the smallest number to the largest.
        distribution: "uniform" or "normal".

    State: `quantiles` `(references, columns)`, 0 for a column of no numbers. What it learns from pieces are all of
    their numbers.

    Peers: as scikit-learn's QuantileTransformer with subsample=None. That one has no more references than there are
    examples, which here makes the grid finer than the data, at a difference below 1 / references; and for "normal" it
    puts all within 1e-7 of the ends, in units of x, to the ends.

    Raises:
        InputError: there are fewer than two references, or of JAX arrays more than 46341; the distribution is none of
            the two; or as `standard`.
    """
    check_integer("quantile", "references", references, 2)
    check_choice("quantile", "distribution", distribution, ("normal", "uniform"))

    def measure(x, where, y):
        if isinstance(x, jax.Array) and references > _MOST:
            fail("quantile.fit", "references", f"at most {_MOST} for JAX arrays, in 32 bits", references)
        return values_of("quantile", x, where)

    def compute(values):
        return {"quantiles": _quantiles(values, references)}

    def transform(state, x):
        wide = columns_of("quantile", x)
        check_columns("quantile", state["quantiles"][0], wide)
        place = _by_column(_place, beside(state["quantiles"], wide), wide)
        return narrowed(place if distribution == "uniform" else _normal(place), x)

    def inverse(state, z):
        wide = columns_of("quantile", z)
        check_columns("quantile", state["quantiles"][0], wide)
        share = wide if distribution == "uniform" else _share(wide)
        return narrowed(_by_column(_number, beside(state["quantiles"], share), share), z)

    return PreprocessorFunctions(transform, inverse, measure, concatenated, compute)


def _quantiles(values: Array, references: int) -> Array:
    """As `columns.quantiles` at j / (references - 1), whose places are found in whole numbers: exact in 32 bits too."""
    xp = namespace(values)
    if values.shape[0] == 0:
        values = xp.full((1, *values.shape[1:]), np.nan, values.dtype)  # of no rows as of none that is there
    count, whole = xp.sum(~xp.isnan(values), 0), np.int32 if xp is jnp else np.int64
    last, steps = xp.maximum(count, 1).astype(whole) - 1, references - 1
    number = xp.arange(references, dtype=whole).reshape(-1, *[1] * last.ndim)
    last = xp.broadcast_to(last, (references, *last.shape))
    rest = number * (last % steps)  # j last = j (last // steps) steps + j (last % steps), which does not overflow
    below = number * (last // steps) + rest // steps
    share = (rest % steps).astype(values.dtype) / steps
    ordered = xp.sort(values, 0)  # NaN last
    low = xp.take_along_axis(ordered, below, 0)
    high = xp.take_along_axis(ordered, xp.minimum(below + 1, last), 0)
    found = xp.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))
    found = lax.cummax(found) if xp is jnp else np.maximum.accumulate(found)  # rounding may have turned the order round
    return xp.where(xp.isnan(found), 0, found)


def _by_column(function: Any, quantiles: Array, x: Array) -> Array:
    """`function(quantiles, numbers)` of each column; NaN stays."""
    xp = namespace(quantiles, x)
    missing = xp.isnan(x)
    known = xp.where(missing, 0, x)
    if quantiles.ndim == 1:
        return xp.where(missing, np.nan, function(quantiles, known))
    rows = known.reshape(-1, x.shape[-1])
    if xp is jnp:
        found = jax.vmap(function, 1, 1)(quantiles, rows)
    else:
        found = np.stack([function(*pair) for pair in zip(quantiles.T, rows.T, strict=True)], 1)
    return xp.where(missing, np.nan, found.reshape(x.shape))


def _place(quantiles: Array, x: Array) -> Array:
    """Where x stands among the quantiles, from 0 to 1."""
    xp = namespace(quantiles, x)
    last = quantiles.shape[0] - 1
    left = xp.searchsorted(quantiles, x, side="left")
    right = xp.searchsorted(quantiles, x, side="right")
    above = xp.clip(left, 1, last)
    low, high = quantiles[above - 1], quantiles[above]
    inside = (x > quantiles[0]) & (x < quantiles[last])
    share = xp.where(inside, x - low, 0) / xp.where(high > low, high - low, 1)
    between = (above - 1).astype(x.dtype) + share
    equal = (left + right - 1).astype(x.dtype) / 2
    place = xp.where(left < right, equal, between) / last
    return xp.where(x <= quantiles[0], 0, xp.where(x >= quantiles[last], 1, place))


def _number(quantiles: Array, share: Array) -> Array:
    """The number that stands at a share of the quantiles."""
    xp = namespace(quantiles, share)
    last = quantiles.shape[0] - 1
    place = xp.clip(share, 0, 1) * last
    below = xp.minimum(xp.floor(place), last - 1).astype(np.int32)
    low, high = quantiles[below], quantiles[below + 1]
    return low + (high - low) * (place - below.astype(share.dtype))


def _special(array: Array) -> Any:
    """The functions of the normal distribution, of the host or for programs."""
    if isinstance(array, jax.Array):
        from jax.scipy import special
    else:
        from scipy import special
    return special


def _normal(share: Array) -> Array:
    """The normal number below which a share lies, from the nearer tail, where digits are."""
    xp = namespace(share)
    lower = share < 0.5
    tail = xp.maximum(xp.where(lower, share, 1 - share), _TAIL - 2.0**-52)  # as scikit-learn, to the last digit
    z = _special(share).ndtri(tail)
    return xp.where(lower, z, -z)


def _share(z: Array) -> Array:
    xp = namespace(z)
    tail = _special(z).ndtr(-xp.abs(z))
    tail = xp.where(tail < _TAIL * 1.001, 0, tail)  # the ends, which rounding may have moved
    return xp.where(z < 0, tail, 1 - tail)

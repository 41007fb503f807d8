"""Count, mean and mean squared deviation of each column, of pieces that are joined without loss of digits."""

from __future__ import annotations

from jaxann.core.typing import Array, State
from jaxann.preprocessing.columns import is_constant, namespace, nonzero, rowwise

__all__ = ["joined", "moments", "variance"]


def moments(values: Array) -> State:
    """`count`, `mean` and `squares`, the mean of (x - mean)^2, of each column of `values_of`; NaN does not count."""
    xp = namespace(values)
    real = ~xp.isnan(values)
    count = xp.sum(real, 0).astype(values.dtype)
    mean = xp.sum(xp.where(real, values, 0), 0) / xp.maximum(count, 1)
    off = xp.where(real, values - rowwise(mean, values), 0)
    mean = mean + xp.sum(off, 0) / xp.maximum(count, 1)  # what rounding left of the sum
    off = xp.where(real, values - rowwise(mean, values), 0)
    size = nonzero(xp.max(xp.abs(off), 0, initial=0))  # whose square is in range where a sum of them is not
    share = off / rowwise(size, values)
    return {"count": count, "mean": mean, "squares": size * size * (xp.sum(share * share, 0) / xp.maximum(count, 1))}


def joined(a: State, b: State) -> State:
    """The moments of both pieces (Chan, Golub and LeVeque 1983)."""
    xp = namespace(a["mean"], b["mean"])
    count = a["count"] + b["count"]
    share = b["count"] / xp.maximum(count, 1)
    apart = b["mean"] - a["mean"]
    squares = (1 - share) * a["squares"] + share * b["squares"] + apart * apart * (1 - share) * share
    return {"count": count, "mean": a["mean"] + apart * share, "squares": squares}


def variance(sums: State) -> Array:
    """That divides by n, of each column; 0 of one that is constant but for rounding or has no number."""
    xp = namespace(sums["mean"])
    return xp.where(is_constant(sums["squares"], sums["mean"], sums["count"]), 0, sums["squares"])

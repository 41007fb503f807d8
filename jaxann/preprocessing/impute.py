"""Missing numbers filled in with one number for each column."""

from __future__ import annotations

import jax
import numpy as np

from jaxann.core.checks import check_choice, check_flag, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import Array, Scalar
from jaxann.preprocessing.columns import (
    aligned,
    check_columns,
    columns_of,
    concatenated,
    namespace,
    narrowed,
    nonzero,
    quantiles,
    values_of,
)

__all__ = ["impute"]

_STRATEGIES = ("mean", "median", "most_frequent", "constant")


@factory(Preprocessor, traits=("fills_missing",))
def impute(strategy: str = "mean", *, value: Scalar = 0.0, indicators: bool = False):
    """z = x, and where x is missing (NaN) the mean, the median or the most frequent number of its column, or `value`.

    Args:
        strategy: "mean", "median", "most_frequent", of equally frequent numbers the smallest, or "constant".
        value: what "constant" fills in; the others do not read it.
        indicators: whether one column for each column of x is appended, 1 where x was missing and else 0. Their names
            are `missing_` and the name of the column.

    State: `fill`, `(columns,)`; 0 for a column of no numbers, but `value` with "constant". "mean" learns from sums,
    counts and totals; what "median" and "most_frequent" learn from pieces are all of their numbers.

    Peers: as scikit-learn's SimpleImputer with keep_empty_features=True: without, it leaves columns of no numbers out.
    `indicators` are its MissingIndicator(features="all"), for a program needs a shape that no data decide;
    SimpleImputer(add_indicator=True) has only those of columns in which a number was missing when it was fitted.

    Raises:
        InputError: an unknown strategy, a value that is no finite number; or (when used) x holds no finite numbers of
            shape (examples, ..., columns), or has no axis of columns that indicators could be appended to.
    """
    check_choice("impute", "strategy", strategy, _STRATEGIES)
    check_range("impute", "value", value)
    check_flag("impute", "indicators", indicators)

    def measure(x, where, y):
        values = values_of("impute", x, where)
        _check_axis(values, indicators)
        if strategy == "mean":
            return _totals(values)
        if strategy == "constant":
            values, one = aligned(values, value)
            return {"fill": namespace(values).full(values.shape[1:], one, values.dtype)}
        return values

    def merge(a, b):
        if strategy == "mean":
            return {"count": a["count"] + b["count"], "total": a["total"] + b["total"]}
        return a if strategy == "constant" else concatenated(a, b)

    def compute(sums):
        if strategy == "constant":
            return sums
        if strategy == "mean":
            return {"fill": sums["total"] / nonzero(sums["count"])}
        fill = quantiles(sums, (0.5,))[0] if strategy == "median" else _most_frequent(sums)
        xp = namespace(fill)
        return {"fill": xp.where(xp.isnan(fill), xp.zeros_like(fill), fill)}

    def transform(state, x):
        wide = columns_of("impute", x)
        _check_axis(wide, indicators)
        check_columns("impute", state["fill"], wide)
        wide, fill = aligned(wide, state["fill"])
        xp = namespace(wide)
        missing = xp.isnan(wide)
        z = narrowed(xp.where(missing, fill, wide), x)
        return xp.concatenate([z, missing.astype(z.dtype)], -1) if indicators else z

    def names(state, columns):
        return (*columns, *(f"missing_{name}" for name in columns)) if indicators else columns

    return PreprocessorFunctions(transform, None, measure, merge, compute, names=names)


def _check_axis(x: Array, indicators: bool) -> None:
    if indicators and x.ndim == 1:
        fail("impute", "x", "of shape (examples, ..., columns), for indicators are appended to the columns",
             f" shape {tuple(x.shape)}", hint="x[:, None] is one column.")  # fmt: skip


def _totals(values: Array) -> dict[str, Array]:
    """How many numbers each column has, and their sum."""
    xp = namespace(values)
    real = ~xp.isnan(values)
    count = xp.sum(real, 0).astype(values.dtype)
    total = xp.sum(xp.where(real, values, 0), 0)
    off = xp.where(real, values - (total / nonzero(count))[None], 0)
    return {"count": count, "total": total + xp.sum(off, 0)}  # with what rounding left of the sum


def _most_frequent(values: Array) -> Array:
    """Of each column the number that stands in it most often, the smallest of several; NaN for a column of none.

    In order, equal numbers form runs: the first end of a longest run is the answer, and the shapes are those of values.
    """
    xp = namespace(values)
    if values.shape[0] == 0:
        return xp.full(values.shape[1:], np.nan, values.dtype)
    ordered = xp.sort(values, 0)  # NaN last
    first = xp.concatenate([xp.ones_like(ordered[:1], bool), ordered[1:] != ordered[:-1]])
    place = xp.arange(values.shape[0], dtype=np.int32).reshape((-1,) + (1,) * (values.ndim - 1))
    start = xp.where(first, place, 0)
    start = np.maximum.accumulate(start, 0) if xp is np else jax.lax.cummax(start, 0)
    length = xp.where(xp.isnan(ordered), 0, place - start + 1)
    return xp.take_along_axis(ordered, xp.argmax(length, 0)[None], 0)[0]

"""Missing numbers filled in from the most similar examples."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from jaxann.core.checks import check_choice, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import Array
from jaxann.preprocessing.columns import (
    aligned,
    check_columns,
    columns_of,
    namespace,
    narrowed,
    nonzero,
    values_of,
)

__all__ = ["impute_neighbors"]

_AT_ONCE = 2**18  # numbers of a table (examples, rows, columns): more of them would not stay in a cache


@factory(Preprocessor, static=("neighbors",), traits=("fills_missing",))
def impute_neighbors(neighbors: int = 5, *, weights: str = "uniform"):
    """z = x, and where x is missing (NaN) the mean of that column over the nearest training rows that have it.

        distance(a, b)^2 = columns / shared * sum over the shared columns of (a - b)^2

    Shared are the columns that both have; a row that shares none is no neighbor.

    Args:
        neighbors: how many rows the mean is taken over; fewer where fewer have the column.
        weights: "uniform", or "distance" for weights of 1 / distance. Neighbors at distance 0 then count alone.

    State: `rows`, `(examples, columns)`, the training data, and `fill`, `(columns,)`, the mean of each column, for
    examples without a neighbor; 0 for a column of no numbers. Columns want one scale first: `standard` before it.

    Peers: as scikit-learn's KNNImputer with keep_empty_features=True; among rows at equal distance the earlier ones are
    neighbors, where scikit-learn takes any. Distances are summed from differences, so equal rows are at distance 0.

    Source: Troyanskaya et al., "Missing value estimation methods for DNA microarrays", 2001.

    Raises:
        InputError: neighbors is no size, an unknown weighting; or (when used) x holds no finite numbers of shape
            (examples, ..., columns).
    """
    check_integer("impute_neighbors", "neighbors", neighbors)
    check_choice("impute_neighbors", "weights", weights, ("uniform", "distance"))

    def fit(x, where, y):
        rows = values_of("impute_neighbors", x, where)
        _check_axis(rows)
        xp = namespace(rows)
        real = ~xp.isnan(rows)
        count = xp.sum(real, 0).astype(rows.dtype)
        return {"rows": rows, "fill": xp.sum(xp.where(real, rows, 0), 0) / nonzero(count)}

    def transform(state, x):
        wide = columns_of("impute_neighbors", x)
        _check_axis(wide)
        check_columns("impute_neighbors", state["fill"], wide)
        wide, rows, fill = aligned(wide, state["rows"], state["fill"])
        rows, fill = rows.reshape(-1, wide.shape[-1]), fill.reshape(1, -1)
        examples = wide.reshape(-1, wide.shape[-1])
        filled = partial(_filled, neighbors=neighbors, uniform=weights == "uniform")
        step = max(1, _AT_ONCE // max(1, rows.size))  # how many examples are compared with the rows at once
        if isinstance(examples, jax.Array):
            z = jax.lax.map(lambda one: filled(one[None], rows, fill)[0], examples, batch_size=step)
        else:
            z = examples.copy()
            asked = np.flatnonzero(np.isnan(examples).any(1))
            for start in range(0, len(asked), step):
                some = asked[start : start + step]
                z[some] = filled(examples[some], rows, fill)
        return narrowed(z.reshape(wide.shape), x)

    return PreprocessorFunctions(transform, fit=fit)


def _check_axis(x: Array) -> None:
    if x.ndim == 1:
        fail("impute_neighbors", "x", "of shape (examples, ..., columns)", f" shape {tuple(x.shape)}")


def _filled(x: Array, rows: Array, fill: Array, *, neighbors: int, uniform: bool) -> Array:
    """Examples `(some, columns)` filled in from the rows; one order of the rows serves all columns."""
    xp = namespace(x)
    missing, absent = xp.isnan(x), xp.isnan(rows)
    both = ~(missing[:, None] | absent[None])
    # Zeros before the difference: the derivative of a NaN is NaN, even where it is not chosen.
    known, given = xp.where(missing, 0, x), xp.where(absent, 0, rows)
    apart = xp.where(both, known[:, None] - given[None], 0)
    shared = xp.sum(both, -1).astype(x.dtype)
    squares = xp.where(shared > 0, xp.sum(apart * apart, -1) * x.shape[-1] / nonzero(shared), np.inf)
    order = xp.argsort(squares, -1, stable=True)
    squares = xp.take_along_axis(squares, order, -1)[..., None]
    has = ~absent[order] & (squares < np.inf)
    nearest = has & (xp.cumsum(has, 1, dtype=np.int32) <= neighbors)
    if uniform:
        weight = nearest.astype(x.dtype)
    else:
        equal = nearest & (squares == 0)
        inverse = 1 / xp.sqrt(xp.where((squares > 0) & (squares < np.inf), squares, 1))
        weight = xp.where(equal, 1, xp.where(nearest & ~xp.any(equal, 1, keepdims=True), inverse, 0))
    total = xp.sum(weight, 1)
    mean = xp.sum(weight * given[order], 1) / nonzero(total)
    return xp.where(missing, xp.where(total > 0, mean, fill), x)

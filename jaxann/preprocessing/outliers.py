"""Numbers far from the others of their column: made missing, brought to the ends, or their rows left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxann.core.checks import check_choice, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import Array, Scalar, State
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

__all__ = ["inlier_rows", "outliers"]

_ALL = float(np.finfo(np.float32).max)  # a number, for a state that is not finite is no state

_THRESHOLDS = {"iqr": 1.5, "z": 3.0, "robust_z": 3.5, "quantiles": 0.05}


@factory(Preprocessor)
def outliers(rule: str = "iqr", threshold: Scalar | None = None, *, action: str = "mask"):
    """z = x within [low, high] of each column, and NaN ("mask") or the nearer end ("clip") outside, with t = threshold.

        "iqr":        Q1 - t (Q3 - Q1) to Q3 + t (Q3 - Q1)
        "quantiles":  Q_t to Q_(1 - t)
        "z":          |x - mean| <= t deviation
        "robust_z":   0.6745 |x - median| <= t MAD

    MAD, the median of |x - median|, is 0.6745 deviations of normal numbers: t counts deviations in the last two.

    Args:
        rule: which one makes the interval.
        threshold: 1.5 for "iqr", 3 for "z", 3.5 for "robust_z", 0.05 for "quantiles" (a share at each end) when None.
        action: "mask" makes outliers missing, for `impute` after it; "clip" brings them to the ends of the interval.
            `inlier_rows` tells the rows without any.

    State: `low` and `high`, `(columns,)`. An interval of no width is all that float32 holds: of a constant column, or
    one of which most numbers are equal, every other number would be an outlier. So is that of a column of no numbers.
    What it learns from pieces are all of their numbers.

    Peers: "z" is SciPy's zscore, "robust_z" the modified one of NIST, "iqr" the whiskers of a box plot. Winsorizing by
    "quantiles" interpolates them, as numpy; SciPy's mstats.winsorize changes the k smallest and largest numbers of the
    very data it is given, which makes no interval for new data, and counts NaN among the largest.

    Source: Tukey, "Exploratory Data Analysis", 1977; Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993.

    Raises:
        InputError: an unknown rule or action, a threshold that is not above 0, or of "quantiles" not below 0.5; or
            (when used) x holds no finite numbers of shape (examples, ..., columns).
    """
    check_choice("outliers", "rule", rule, _THRESHOLDS)
    check_choice("outliers", "action", action, ("mask", "clip"))
    if threshold is not None:
        below = 0.5 if rule == "quantiles" else None
        check_range("outliers", "threshold", threshold, 0, below, open_low=True, open_high=True)
    asked = _THRESHOLDS[rule] if threshold is None else threshold

    def compute(values):
        values, t = aligned(values, asked)
        xp = namespace(values)
        low, high = _interval(rule, values, t)
        # NaN of a column of no numbers is no width either.
        wide = high > low
        return {"low": xp.where(wide, low, -_ALL), "high": xp.where(wide, high, _ALL)}

    def transform(state, x):
        wide, low, high = _with_ends(state, x)
        xp = namespace(wide)
        if action == "clip":
            return narrowed(xp.where(wide < low, low, xp.where(wide > high, high, wide)), x)
        return narrowed(xp.where((wide < low) | (wide > high), np.nan, wide), x)

    return PreprocessorFunctions(
        transform,
        None,
        lambda x, where, y: values_of("outliers", x, where),
        concatenated,
        compute,
        traits=("makes_missing",) if action == "mask" else (),
    )


def inlier_rows(preprocessor: Preprocessor, state: State, x: Array) -> Array:
    """keep `(examples,)`: True for an example none of whose numbers is an outlier; a missing one is none.

        keep = inlier_rows(rule, state, x);   x, y = x[keep], y[keep]

    Rows are left out on the host, with their targets: in a program the shape would depend on the numbers. There, keep
    serves as a weight.

    Args:
        preprocessor: `outliers(...)`, with either action.
        state: what it learned.
        x: `(examples, ..., columns)` or `(examples,)`.

    Raises:
        InputError: the preprocessor is of another factory, or x has other columns than the data that were learned from.
    """
    if not isinstance(preprocessor, Preprocessor) or preprocessor._factory.public is not outliers:
        fail("inlier_rows", "preprocessor", "made by outliers(...)", preprocessor)
    wide, low, high = _with_ends(state, x)
    outside = (wide < low) | (wide > high)
    return ~namespace(wide).any(outside, tuple(range(1, outside.ndim)))


def _with_ends(state: State, x: Array) -> tuple[Array, ...]:
    """x and the ends of the intervals, which can be compared."""
    wide = columns_of("outliers", x)
    check_columns("outliers", state["low"], wide)
    return aligned(wide, state["low"], state["high"])


def _interval(rule: str, values: Array, t: Array) -> tuple[Array, Array]:
    """The ends of the interval of each column: equal or NaN where it has no width."""
    xp = namespace(values)
    if rule == "quantiles":
        shares: Any = (t, 1 - t)  # traced, perhaps
        low, high = quantiles(values, shares)
        return low, high
    if rule == "iqr":
        first, last = quantiles(values, (0.25, 0.75))
        return first - t * (last - first), last + t * (last - first)
    if rule == "robust_z":
        middle = quantiles(values, (0.5,))[0]
        reach = quantiles(xp.abs(values - middle[None]), (0.5,))[0] / 0.6745
    else:
        real = ~xp.isnan(values)
        count = xp.sum(real, 0).astype(values.dtype)
        middle = xp.sum(xp.where(real, values, 0), 0) / nonzero(count)
        # The mean once more, of what is left: that of equal numbers is then the number itself, and the deviation 0.
        middle = middle + xp.sum(xp.where(real, values - middle[None], 0), 0) / nonzero(count)
        off = xp.where(real, values - middle[None], 0)
        reach = xp.sqrt(xp.sum(off * off, 0) / nonzero(count))
    return middle - t * reach, middle + t * reach

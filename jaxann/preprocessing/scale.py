"""Columns brought to the same scale: by mean and deviation, by their ends, by their quartiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jaxann.core.checks import check_flag, check_range, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import Scalar
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
from jaxann.preprocessing.moments import joined, moments, variance

__all__ = ["max_abs", "min_max", "robust", "standard"]


@factory(Preprocessor)
def standard(*, center: bool = True, scale: bool = True):
    """z = (x - mean) / deviation of each column, the deviation that divides by n; 1 in the place of 0.

    Args:
        center: whether the mean is taken off.
        scale: whether it is divided by the deviation.

    State: `mean` and `scale`, `(columns,)`. A column that is constant but for rounding has scale 1; one of no numbers
    has mean 0. It learns from sums: counts, means and squared deviations, which pieces are joined by without loss of
    digits (Chan, Golub and LeVeque 1983).

    Peers: as scikit-learn's StandardScaler; Keras' Normalization has no rule for constant columns.

    Raises:
        InputError: a flag is none; or (when fitted) x holds no finite numbers of shape (examples, ..., columns).
    """
    check_flag("standard", "center", center)
    check_flag("standard", "scale", scale)

    def compute(sums):
        mean, varied = sums["mean"], variance(sums)
        xp = namespace(mean)
        deviation = nonzero(xp.sqrt(varied))
        return {
            "mean": mean if center else xp.zeros_like(mean),
            "scale": deviation if scale else xp.ones_like(deviation),
        }

    def measure(x, where, y):
        return moments(values_of("standard", x, where))

    return PreprocessorFunctions(*_shifted("standard", "mean"), measure, joined, compute)


@factory(Preprocessor)
def min_max(low: Scalar = 0.0, high: Scalar = 1.0, *, clip: bool = False):
    """z = low + (x - min) (high - low) / (max - min) of each column; 1 in the place of a range of 0.

    Args:
        low, high: where the smallest and the largest number go.
        clip: whether new data that lie further out are brought to the ends; without it they leave the range.

    State: `min` and `range`, `(columns,)`.

    Peers: as scikit-learn's MinMaxScaler with feature_range=(low, high).

    Raises:
        InputError: high is not above low, or as `standard`.
    """
    check_range("min_max", "low", low)
    known = is_concrete(low) and np.ndim(low) == 0
    check_range("min_max", "high", high, float(low) if known else None, open_low=True)
    check_flag("min_max", "clip", clip)

    def measure(x, where, y):
        values = values_of("min_max", x, where)
        xp = namespace(values)
        missing = xp.isnan(values)
        lowest = xp.min(xp.where(missing, np.inf, values), 0, initial=np.inf)
        return {"min": lowest, "max": xp.max(xp.where(missing, -np.inf, values), 0, initial=-np.inf)}

    def merge(a, b):
        xp = namespace(a["min"], b["min"])
        return {"min": xp.minimum(a["min"], b["min"]), "max": xp.maximum(a["max"], b["max"])}

    def compute(sums):
        xp = namespace(sums["min"])
        there = sums["max"] >= sums["min"]
        first = xp.where(there, sums["min"], 0)
        return {"min": first, "range": nonzero(xp.where(there, sums["max"], 0) - first)}

    def transform(state, x):
        wide = columns_of("min_max", x)
        check_columns("min_max", state["min"], wide)
        wide, first, length, bottom, top = aligned(wide, state["min"], state["range"], low, high)
        z = bottom + (wide - first) * (top - bottom) / length
        return narrowed(namespace(z).clip(z, bottom, top) if clip else z, x)

    def inverse(state, z):
        wide = columns_of("min_max", z)
        check_columns("min_max", state["min"], wide)
        wide, first, length, bottom, top = aligned(wide, state["min"], state["range"], low, high)
        return narrowed((wide - bottom) / (top - bottom) * length + first, z)

    return PreprocessorFunctions(transform, inverse, measure, merge, compute)


@factory(Preprocessor)
def max_abs():
    """z = x / max |x| of each column: zeros stay zeros, and signs signs; 1 in the place of 0.

    State: `scale`, `(columns,)`.

    Peers: as scikit-learn's MaxAbsScaler.

    Raises:
        InputError: as `standard`.
    """

    def measure(x, where, y):
        values = values_of("max_abs", x, where)
        xp = namespace(values)
        return {"scale": xp.max(xp.where(xp.isnan(values), 0, xp.abs(values)), 0, initial=0)}

    def merge(a, b):
        return {"scale": namespace(a["scale"], b["scale"]).maximum(a["scale"], b["scale"])}

    def transform(state, x):
        wide = columns_of("max_abs", x)
        check_columns("max_abs", state["scale"], wide)
        wide, scale = aligned(wide, state["scale"])
        return narrowed(wide / scale, x)

    def inverse(state, z):
        wide = columns_of("max_abs", z)
        check_columns("max_abs", state["scale"], wide)
        wide, scale = aligned(wide, state["scale"])
        return narrowed(wide * scale, z)

    return PreprocessorFunctions(transform, inverse, measure, merge, lambda sums: {"scale": nonzero(sums["scale"])})


@factory(Preprocessor, static=("low", "high"))
def robust(
    low: float = 0.25,
    high: float = 0.75,
    *,
    center: bool = True,
    scale: bool = True,
    smooth_clip: Scalar | None = None,
):
    """z = (x - median) / (Q_high - Q_low) of each column, which a few wild numbers do not move; 1 in the place of 0.

    Args:
        low, high: shares of the two quantiles; the quartiles by default.
        center: whether the median is taken off.
        scale: whether it is divided by the distance of the quantiles.
        smooth_clip: s, with which z / sqrt(1 + (z / s)^2) takes the place of z: about z near 0, and within (-s, s) for
            the wildest number. None for z itself.

    State: `center` and `scale`, `(columns,)`. What it learns from pieces are all of their numbers.

    Peers: as scikit-learn's RobustScaler with quantile_range in percent, which has no smooth_clip; pytabkit clips by
    s = 3, and divides a column whose quartiles are equal by half of its range.

    Source: Holzmüller, Grinsztajn and Steinwart 2024 (smooth_clip).

    Raises:
        InputError: a share is not in [0, 1], the second not above the first, or smooth_clip not above 0; or as
            `standard`.
    """
    check_range("robust", "low", low, 0, 1)
    check_range("robust", "high", high, 0, 1)
    if not high > low:
        fail("robust", "high", f"above low ({low})", high)
    check_flag("robust", "center", center)
    check_flag("robust", "scale", scale)
    if smooth_clip is not None:
        check_range("robust", "smooth_clip", smooth_clip, 0, open_low=True)

    def compute(values):
        xp = namespace(values)
        first, median, last = quantiles(values, (low, 0.5, high))
        middle = xp.where(xp.isnan(median), 0, median)
        return {
            "center": middle if center else xp.zeros_like(middle),
            "scale": nonzero(last - first) if scale else xp.ones_like(middle),
        }

    def measure(x, where, y):
        return values_of("robust", x, where)

    transform, inverse = _shifted("robust", "center")
    if smooth_clip is None:
        return PreprocessorFunctions(transform, inverse, measure, concatenated, compute)

    def clipped(state, x):
        wide = columns_of("robust", x)
        z, bound = aligned(transform(state, wide), smooth_clip)
        xp = namespace(z)
        return narrowed(z / xp.hypot(xp.ones_like(z), z / bound), x)  # a square of z would overflow

    def unclipped(state, z):
        wide, bound = aligned(columns_of("robust", z), smooth_clip)
        xp = namespace(wide)
        nearest = 1 - xp.finfo(wide.dtype).eps  # the bound itself is where infinity would go
        share = xp.clip(wide / bound, -nearest, nearest)
        return narrowed(inverse(state, bound * share / xp.sqrt((1 - share) * (1 + share))), z)

    return PreprocessorFunctions(clipped, unclipped, measure, concatenated, compute)


def _shifted(function: str, middle: str) -> tuple[Callable, Callable]:
    """z = (x - middle) / scale of each column and the way back, by numbers that the state has under these names."""

    def transform(state, x):
        wide = columns_of(function, x)
        check_columns(function, state[middle], wide)
        wide, center, scale = aligned(wide, state[middle], state["scale"])
        return narrowed((wide - center) / scale, x)

    def inverse(state, z):
        wide = columns_of(function, z)
        check_columns(function, state[middle], wide)
        wide, center, scale = aligned(wide, state[middle], state["scale"])
        return narrowed(wide * scale + center, z)

    return transform, inverse

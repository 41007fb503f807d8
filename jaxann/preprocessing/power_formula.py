"""The formulas of Box and Cox and of Yeo and Johnson, relative to a number in the middle of the column.

Both are, of a logarithm u of x, E(p, u) = (exp(p u) - 1) / p with a power p that is lambda, or 2 - lambda for negative
x in Yeo and Johnson's. A column such as the years 1990 to 2020 wants a large power; then E(p, u) overflows, or is
constant to rounding. But for an affine map it is E(p, u - r) for any r, which is what is computed, with r in the middle
of the column: no digit is lost.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxann.core.typing import Array
from jaxann.preprocessing.columns import namespace, nonzero, rowwise

__all__ = ["averages", "changed", "relative", "unchanged"]

_TERMS, _SMALL = 12, 0.25  # of a series, and for numbers below what: the next one is less than rounding


def _sides(offset: float, fitted: Array, reference: Array) -> tuple[Any, Array]:
    """On which side of 0 the reference stands, and the power of that side."""
    side = namespace(reference).where(reference < 0, -1, 1).astype(reference.dtype) if offset else 1
    return side, 1 + side * (fitted - 1)


def relative(offset: float, size: Array, reference: Array) -> Array:
    """log((offset + size) / (offset + reference)), both positive, exact where the two are close."""
    xp = namespace(size, reference)
    share = (size - reference) / (offset + reference)
    near = xp.abs(share) < 0.5
    far = xp.where(near, 1, offset + size) / (offset + reference)
    return xp.where(near, xp.log1p(xp.where(near, share, 0)), xp.log(far))


def averages(t: Array, shift: Any = 0.0) -> tuple[Array, Array, Array]:
    """The integrals over s from 0 to 1 of s^k exp(t s - shift), k = 0, 1, 2: (exp(t) - 1) / t and its derivatives."""
    xp = namespace(t)
    small = xp.abs(t) < _SMALL
    near, far = xp.where(small, t, 0), xp.where(small, 1, t)
    power, unit = xp.exp(t - shift), xp.exp(-shift)
    last = xp.zeros_like(t)
    for term in reversed(range(_TERMS)):
        last = last * near + 1 / ((term + 3) * math.factorial(term))
    last = last * unit
    middle = (power - near * last) / 2  # from the last one on, as no digits cancel in this direction
    far_first = (power - unit) / far
    far_middle = (power - far_first) / far
    return (
        xp.where(small, power - near * middle, far_first),
        xp.where(small, middle, far_middle),
        xp.where(small, last, (power - 2 * far_middle) / far),
    )


def _most(x: Array) -> float:
    """An exponent whose exponential is finite."""
    return 0.9 * math.log(float(np.finfo(x.dtype).max))


def _raised(p: Array, u: Array, rise: Any = 0.0) -> Array:
    """exp(rise) (exp(p u) - 1) / p, and exp(rise) u where p is 0; at the largest number instead of above it."""
    most = _most(u)
    xp = namespace(p, u)
    shift = xp.maximum(xp.zeros_like(u) - rise, -most)
    return u * averages(xp.minimum(p * u, most + shift), shift)[0]


def _logarithm(p: Array, t: Array) -> Array:
    """u of `_raised(p, u)` = t, or the end of what there is."""
    xp = namespace(p, t)
    power = xp.maximum(p * t, float(np.finfo(t.dtype).eps) - 1)
    small = xp.abs(power) < 1e-4
    near, far = xp.where(small, power, 0), xp.where(small, 1, power)
    ends = xp.where(p * t > -1, t, (float(np.finfo(t.dtype).eps) - 1) / nonzero(p))
    return ends * xp.where(small, 1 + near * (-1 / 2 + near * (1 / 3 - near / 4)), xp.log1p(far) / far)


def changed(offset: float, fitted: Array, reference: Array, x: Array) -> Array:
    """The formula, relative to the reference."""
    xp = namespace(x, fitted)
    fitted, reference = rowwise(fitted, x), rowwise(reference, x)
    side, p = _sides(offset, fitted, reference)
    same = (x >= 0) == (side > 0) if offset else x == x
    missing = xp.isnan(x)
    size = xp.where(missing | ~same, xp.abs(reference), xp.abs(x))
    t = side * _raised(p, relative(offset, size, xp.abs(reference)))
    if offset:
        r = xp.log1p(xp.abs(reference))
        other = _raised(2 - p, xp.log1p(xp.where(missing | same, 0, xp.abs(x))), -p * r)
        t = xp.where(same, t, side * (_raised(p, -r) - other))
    return xp.where(missing, np.nan, t)


def unchanged(offset: float, fitted: Array, reference: Array, t: Array) -> Array:
    """x of `changed` = t, or the nearest that there is."""
    xp = namespace(t)
    missing = xp.isnan(t)
    t = xp.where(missing, 0, t)
    most = _most(t)
    side, p = _sides(offset, fitted, reference)
    size = xp.abs(reference)
    t = side * t
    x = size + (offset + size) * xp.expm1(xp.clip(_logarithm(p, t), -most, most - xp.log(offset + size)))
    if offset:
        r = xp.log1p(size)
        zero = _raised(p, -r)
        below = xp.where(t < zero, zero - t, 1)
        other = xp.exp(xp.minimum(xp.log(below) + p * r, most))  # each of the factors alone may be out of range
        other = xp.expm1(xp.clip(_logarithm(2 - p, other), -most, most))
        x = side * xp.where(t >= zero, x, -other)
    else:
        x = xp.maximum(x, float(np.finfo(t.dtype).tiny))
    return xp.where(missing, np.nan, x)

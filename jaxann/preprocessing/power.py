"""Columns made as normal as a power makes them, by the most likely power."""

from __future__ import annotations

import math

import jax
import numpy as np
from jax import lax

from jaxann.core.checks import check_choice, check_flag, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.preprocessor import Preprocessor, PreprocessorFunctions
from jaxann.core.typing import Array, State
from jaxann.preprocessing.columns import (
    check_columns,
    columns_of,
    concatenated,
    namespace,
    narrowed,
    nonzero,
    rowwise,
    values_of,
)
from jaxann.preprocessing.moments import moments, variance
from jaxann.preprocessing.power_formula import averages, changed, relative, unchanged

__all__ = ["power"]

_MOST_STEPS = 100  # Newton's take about ten


@factory(Preprocessor)
def power(method: str = "yeo_johnson", *, standardize: bool = True):
    """z = ((1 + x)^lambda - 1) / lambda for x >= 0, -((1 - x)^(2 - lambda) - 1) / (2 - lambda) for x < 0, standardized.

    That is Yeo and Johnson's; Box and Cox's is (x^lambda - 1) / lambda for x > 0. In the place of a power of 0 stands
    the logarithm. The lambda of a column is the most likely one if z were normal; a constant column has 1.

    Args:
        method: "yeo_johnson", or "box_cox" for positive x.
        standardize: whether z is brought to mean 0 and deviation 1 (that divides by n).

    State: `lambda`, `reference`, `mean` and `scale`, `(columns,)`: z = (t - mean) / scale, where t is the formula of x
    relative to the reference, x / reference or (1 + |x|) / (1 + |reference|), but for an affine map. What it learns
    from pieces are all of their numbers. The likelihood is concave in lambda: Newton's method, kept in an interval,
    finds where its derivative is 0, to rounding. Lambda is bounded such that the numbers before they are standardized
    have a finite variance; with `standardize` hardly a column meets the bound, for they are relative.

    Peers: as scikit-learn's PowerTransformer, whose search stops at 1e-8, and whose z of such columns far from 0 are
    constant or overflow.

    Source: Yeo and Johnson 2000, "A New Family of Power Transformations to Improve Normality or Symmetry"; Box and Cox
    1964, "An Analysis of Transformations"; Marchand et al. 2022, "SecureFedYJ", on the likelihood.

    Raises:
        InputError: an argument is none of these; a number for "box_cox" is not positive (where it is known when called:
            in a program it becomes NaN); or as `standard`.
    """
    check_choice("power", "method", method, ("box_cox", "yeo_johnson"))
    check_flag("power", "standardize", standardize)
    offset = 1.0 if method == "yeo_johnson" else 0.0  # what is added to |x| before its logarithm is taken

    def measure(x, where, y):
        return _positive(offset, values_of("power", x, where))

    def compute(values):
        xp = namespace(values)
        reference, fitted = _fit(offset, standardize, values)
        if standardize:
            sums = moments(changed(offset, fitted, reference, values))
            mean, scale = sums["mean"], nonzero(xp.sqrt(variance(sums)))
        else:
            reference = xp.full_like(reference, 1 - offset)
            mean, scale = xp.zeros_like(reference), xp.ones_like(reference)
        return {"lambda": fitted, "reference": reference, "mean": mean, "scale": scale}

    def transform(state, x):
        wide = columns_of("power", x)
        check_columns("power", state["lambda"], wide)
        wide, (fitted, reference, mean, scale) = _positive(offset, wide), _rows(state, wide)
        return narrowed((changed(offset, fitted, reference, wide) - mean) / scale, x)

    def inverse(state, z):
        wide = columns_of("power", z)
        check_columns("power", state["lambda"], wide)
        fitted, reference, mean, scale = _rows(state, wide)
        return narrowed(unchanged(offset, fitted, reference, wide * scale + mean), z)

    return PreprocessorFunctions(transform, inverse, measure, concatenated, compute)


def _rows(state: State, x: Array) -> list[Array]:
    return [rowwise(state[name], x) for name in ("lambda", "reference", "mean", "scale")]


def _positive(offset: float, x: Array) -> Array:
    """x where Box and Cox's is defined, NaN elsewhere in a program."""
    if offset:
        return x
    if is_concrete(x) and (bad := np.asarray(x) <= 0).any():
        first, got = np.argwhere(bad)[0], np.asarray(x)[bad][0]
        hint = "power('yeo_johnson') takes numbers of both signs."
        fail("power", "x", "above 0 for 'box_cox'", f" {got:g} at [{', '.join(map(str, first))}]", hint=hint)
    return namespace(x).where(x > 0, x, np.nan)


def _fit(offset: float, standardize: bool, values: Array) -> tuple[Array, Array]:
    """The reference and the lambda of each column."""
    xp = namespace(values)
    real = ~xp.isnan(values)
    count = xp.maximum(xp.sum(real, 0), 1).astype(values.dtype)
    sizes = xp.where(real, xp.abs(values), 1 - offset)
    largest = nonzero(xp.max(sizes, 0, initial=0))
    constant = variance(moments(values / rowwise(largest, values))) == 0  # whose squares are never out of range
    logs = xp.log1p(sizes) if offset else xp.log(sizes)
    reference = (xp.expm1 if offset else xp.exp)(xp.sum(logs, 0) / count)
    signs = xp.ones_like(values)
    if offset:
        signs = xp.where(values < 0, -1, 1).astype(values.dtype)
        ends = xp.min(xp.where(real, signs, 1), 0, initial=1), xp.max(xp.where(real, signs, -1), 0, initial=-1)
        reference = (ends[0] + ends[1]) / 2 * xp.maximum(reference, 0)  # 0 for numbers of both signs
    apart = xp.where(real, relative(offset, sizes, rowwise(xp.abs(reference), values)), 0)
    apart = xp.where(rowwise(constant, values), 0, apart)
    size = nonzero(xp.max(xp.abs(apart), 0, initial=0))
    if standardize:
        exponent = size
    else:
        exponent = xp.max(xp.abs(logs), 0, initial=0)
        exponent = xp.log1p(20 * xp.expm1(exponent)) if offset else exponent  # room for new data of 20 times the size
    # Half of the range of exponents, for variances are squares.
    info = np.finfo(values.dtype)
    bound = xp.maximum((math.log(float(info.max)) + math.log(float(info.eps))) / 2 / nonzero(exponent), 1)
    low, high = -bound, bound
    if offset:
        low = xp.where(ends[0] < 0, xp.where(ends[1] < 0, 2 - bound, xp.maximum(2 - bound, low)), low)
        high = xp.where(ends[1] < 0, 2 + bound, high)
    change = _most_likely(apart, size, signs, real, (low - 1) * size, (high - 1) * size)
    return xp.where(constant, 1 - offset, reference), xp.where(constant, 1, 1 + change / size)


def _derivatives(change: Array, apart: Array, size: Array, signs: Array, real: Array) -> tuple[Array, Array]:
    """Of the log-likelihood, divided by the number of numbers, the first two derivatives in (lambda - 1) size."""
    xp = namespace(change, apart)
    share = apart / rowwise(size, apart)  # at most 1: no power of it is out of range
    t = apart + signs * rowwise(change, apart) * share
    largest = xp.max(t, 0, initial=0, keepdims=True)  # its exponential becomes 1: variances do not overflow
    zeroth, first, second = averages(t, largest)
    count = xp.maximum(xp.sum(real, 0), 1).astype(apart.dtype)

    def mean(numbers):  # missing ones are 0
        return xp.sum(numbers, 0) / count

    def centred(numbers):
        return xp.where(real, numbers - rowwise(mean(numbers), numbers), 0)

    signed, square = signs * share, share * share
    z, dz, ddz = (centred(numbers) for numbers in (signed * zeroth, square * first, signed * square * second))
    varied = nonzero(mean(z * z))
    shift = mean(z * dz) / varied
    return mean(signed) - shift, 2 * shift * shift - (mean(dz * dz) + mean(z * ddz)) / varied


def _most_likely(apart: Array, size: Array, signs: Array, real: Array, low: Array, high: Array) -> Array:
    """Where the derivative of a concave function is 0, by Newton's steps, halving the interval where one leaves it."""
    in_program = isinstance(apart, jax.Array)
    xp = namespace(apart)
    fixed, ends = (apart, size, signs, real), (low, high)
    if in_program:
        fixed, ends = lax.stop_gradient((fixed, ends))
    enough = math.sqrt(float(np.finfo(apart.dtype).eps))

    def goes_on(carry):
        number, step, at, _, _ = carry
        return (number < _MOST_STEPS) & xp.any(xp.abs(step) > enough * (1 + xp.abs(at)))

    def improved(carry):
        number, _, at, low, high = carry
        slope, bend = _derivatives(at, *fixed)
        low, high = xp.where(slope > 0, at, low), xp.where(slope > 0, high, at)
        # Where the likelihood is nearly straight, a whole step would go to the far end of the interval.
        far = 2 * (1 + xp.abs(at))
        new = at + xp.clip(-slope / nonzero(xp.minimum(bend, 0), -1.0), -far, far)
        new = xp.where((new > low) & (new < high), new, (low + high) / 2)
        return number + 1, new - at, new, low, high

    start = xp.clip(xp.zeros_like(low), *ends)
    carry = (0, xp.full_like(low, np.inf), start, *ends)
    if in_program:
        carry = lax.while_loop(goes_on, improved, carry)
    else:
        while goes_on(carry):
            carry = improved(carry)
    # One more step, whose derivative is that of lambda: what data change is the first derivative.
    at = carry[2]
    slope, bend = _derivatives(at, apart, size, signs, real)
    bend = nonzero(xp.minimum(bend, 0), -1.0)
    last = at - slope / (lax.stop_gradient(bend) if in_program else bend)
    return xp.clip(last, low, high)

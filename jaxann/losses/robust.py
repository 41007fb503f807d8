"""Barron's family of robust losses: one number alpha leads from squares to losses that forget outliers.

    alpha = 2      r^2 / 2                       squares
    alpha = 1      sqrt(r^2 + 1) - 1             Charbonnier, a smooth absolute error
    alpha = 0      log(r^2 / 2 + 1)              Cauchy
    alpha = -2     2 r^2 / (r^2 + 4)             Geman and McClure
    alpha = -inf   1 - exp(-r^2 / 2)             Welsch

for c = 1. All have the curvature 1 / c^2 at r = 0. With v = |alpha - 2| and L = log(1 + (r/c)^2 / v) / 2,

    rho = (v / alpha) (exp(alpha L) - 1) = v L phi(alpha L),   phi(z) = (exp(z) - 1) / z,

which has no hole at alpha = 0: phi is a smooth function.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.checks import check_plain, check_range, fail, is_concrete
from jaxann.core.tables import named_functions
from jaxann.core.typing import Array, Scalar
from jaxann.losses.inputs import elementwise, structured

__all__ = ["adaptive_barron", "barron", "barron_nll", "barron_parameters"]

_FAR = 1e9  # (r / c) / sqrt(v) from which on (r / c)^2 + v is (r / c)^2, in float64 too
_SPREAD, _STEPS = 28.0, 336  # nodes x = exp(w), w in [-28, 28]: what lies outside adds less than 1e-11


@elementwise
def barron(predictions: Array, targets: Array, *, alpha: Array | float = 1.0, scale: Array | float = 1.0) -> Array:
    """(|a-2| / a) (((r/c)^2 / |a-2| + 1)^(a/2) - 1), r = prediction - target; its limits at a = 0, 2, -inf.

    The smaller alpha, the less an outlier pulls: the slope is at most 1 / c for alpha <= 1 and falls back to 0 for
    alpha < 1. Differentiable in alpha and scale too, at alpha = 0 as well; only at alpha = 2 itself, where the slope
    in alpha has no bound, it is given as 0. (To learn alpha minimize `barron_nll`: minimizing this over alpha just
    takes the smallest.)

    Args:
        predictions: floating point, any shape.
        targets: the same shape.
        alpha: a, a number (or one for each element); -inf too.
        scale: c > 0, the size of r up to which it is about r^2 / (2 c^2); a number (or one for each element).

    Returns:
        The same shape.

    Peers: no peer has it; alpha = 1 with scale c is the pseudo-Huber loss of delta = c divided by c^2.

    Source: Barron 2019.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), scale <= 0, or the predictions are not floating point.
    """
    a, c = _shape_and_scale("barron", predictions, alpha, scale)
    return _rho(predictions - targets, a, c)


@elementwise
def barron_nll(predictions: Array, targets: Array, *, alpha: Array | float = 1.0, scale: Array | float = 1.0) -> Array:
    """barron(r) + log c + log Z(a), Z(a) the integral of exp(-barron(x)) over x at c = 1, for a in [0, 2].

    The negative logarithm of a density, so that a and c may be learned with the rest: heavier tails cost something
    where there are no outliers. a = 2 is the normal distribution, a = 0 Cauchy's with scale sqrt(2) c.

    Args:
        predictions: floating point, any shape.
        targets: the same shape.
        alpha: a in [0, 2], a number (or one for each element, at the price of an integral for each).
        scale: c > 0, a number (or one for each element).

    Returns:
        The same shape. log Z comes from the trapezoidal rule in log x, to 1e-10 in float64.

    Peers: no peer has it.

    Source: Barron 2019.

    Raises:
        InputError: shapes differ (also `(n,)` against `(n, 1)`), alpha outside [0, 2], scale <= 0, or the predictions
            are not floating point.
    """
    check_range("barron_nll", "alpha", alpha, 0, 2, arrays=True)
    a, c = _shape_and_scale("barron_nll", predictions, alpha, scale)
    return _rho(predictions - targets, a, c) + jnp.log(c) + _log_normalizer(a)


@structured(3)
def adaptive_barron(
    predictions: Array, targets: Array, *, lowest: Scalar = 0.001, highest: Scalar = 1.999, smallest: Scalar = 1e-5
) -> Array:
    """barron_nll of a prediction that brings its own raw alpha and raw scale: last axis [value, raw a, raw c].

    Three outputs of the network, or one output and two parameters put beside it, the same for all examples.

    Args:
        predictions: `(..., 3)`, floating point.
        targets: `(...)`.
        lowest, highest, smallest: as in `barron_parameters`.

    Returns:
        `(...)`.

    Peers: no peer has it.

    Source: Barron 2019.

    Raises:
        InputError: shapes do not fit, or the predictions are not floating point.
    """
    check_plain("adaptive_barron", "predictions", predictions)
    check_plain("adaptive_barron", "targets", targets)
    _check_ends("adaptive_barron", lowest, highest, smallest)
    value, raw_alpha, raw_scale = (predictions[..., i] for i in range(3))
    alpha, scale = barron_parameters(raw_alpha, raw_scale, lowest=lowest, highest=highest, smallest=smallest)
    return _rho(value - targets, alpha, scale) + jnp.log(scale) + _log_normalizer(alpha)


def barron_parameters(
    raw_alpha: Array | float,
    raw_scale: Array | float,
    *,
    lowest: Scalar = 0.001,
    highest: Scalar = 1.999,
    smallest: Scalar = 1e-5,
) -> tuple[Array, Array]:
    """(a, c): a = lowest + (highest - lowest) sigmoid(raw_alpha), c = smallest + softplus(raw_scale).

    Any two real numbers become an alpha and a scale that `barron_nll` takes: what a network learns are the raw ones.

    Args:
        raw_alpha, raw_scale: floating point; 0 gives alpha 1 and scale 0.69.
        lowest, highest: ends of alpha's range within [0, 2].
        smallest: > 0, the scale's lower end.

    Returns:
        Two arrays of the shapes given.

    Raises:
        InputError: a number is out of its range.
    """
    _check_ends("barron_parameters", lowest, highest, smallest)
    raw_alpha, raw_scale = jnp.asarray(raw_alpha), jnp.asarray(raw_scale)
    low, high = (jnp.asarray(end, raw_alpha.dtype) for end in (lowest, highest))
    floor = jnp.asarray(smallest, raw_scale.dtype)
    return low + (high - low) * lax.logistic(raw_alpha), floor + jax.nn.softplus(raw_scale)


def _check_ends(function: str, lowest: Scalar, highest: Scalar, smallest: Scalar) -> None:
    check_range(function, "lowest", lowest, 0, 2)
    check_range(function, "highest", highest, 0, 2)
    check_range(function, "smallest", smallest, 0, open_low=True)


def _shape_and_scale(function: str, predictions: Array, alpha: Any, scale: Any) -> tuple[Array, Array]:
    if not (isinstance(alpha, float) and alpha == -np.inf) and not _holds_minus_infinity(alpha):
        check_range(function, "alpha", alpha, arrays=True)
    check_range(function, "scale", scale, 0, open_low=True, arrays=True)
    for name, value in (("alpha", alpha), ("scale", scale)):
        if np.ndim(value) and np.shape(value) != predictions.shape:
            expected = f"a number, or of the predictions' shape {predictions.shape}"
            fail(function, name, expected, f" shape {np.shape(value)}")
    return jnp.asarray(alpha, predictions.dtype), jnp.asarray(scale, predictions.dtype)


def _holds_minus_infinity(alpha: Any) -> bool:
    if not isinstance(alpha, np.ndarray | jax.Array | np.generic) or not is_concrete(alpha):
        return False
    values = np.asarray(alpha, np.float64)
    return bool(np.isneginf(values).any() and not (np.isnan(values) | np.isposinf(values)).any())


def _rho(r: Array, alpha: Array, scale: Array) -> Array:
    """barron's formula for arrays of one shape, or numbers."""
    r, alpha, scale = _even(r, alpha, scale)
    ratio = r / scale
    welsch, quadratic = jnp.isneginf(alpha), alpha == 2
    a = jnp.where(welsch | quadratic, 1, alpha)
    v = jnp.abs(a - 2)
    # Squares overflow from 2e19 on in float32; long before, 1 is nothing beside (r / c)^2 / v.
    far = jnp.isfinite(ratio) & (jnp.abs(ratio) > _FAR * jnp.sqrt(v))
    x, log_v = jnp.where(far, jnp.abs(ratio), 1), jnp.log(jnp.where(far, v, 1))
    square = jnp.where(far, 1, ratio) ** 2
    half_log = jnp.where(far, jnp.log(x) - log_v / 2, jnp.log1p(square / v) / 2)
    z = a * half_log
    # exp(z) grows past what its difference from 1 is known to; there the power is written from r^2 down.
    large = (a > 1) & (square > v) & ~far
    rising = far & (a > 0)
    near = jnp.abs(z) < 0.5
    by_series = v * half_log * _phi_near(jnp.where(near, z, 0))
    elsewhere = near | large | rising
    by_quotient = v * _expm1(jnp.where(elsewhere, 1, z)) / jnp.where(elsewhere, 1, a)
    exponent = jnp.where(large, (a - 2) * half_log, 0)
    by_power = (jnp.where(large, square + v, 1) * jnp.exp(exponent) - v) / jnp.where(large, a, 1)
    exponent = jnp.where(rising, (a - 1) * jnp.log(x) + (1 - a / 2) * log_v, 0)
    by_size = (x * jnp.exp(exponent) - v) / jnp.where(rising, a, 1)
    value = jnp.where(near, by_series, jnp.where(rising, by_size, jnp.where(large, by_power, by_quotient)))
    value = jnp.where(quadratic, ratio**2 / 2, value)
    return jnp.where(welsch, jnp.where(far, 1, -_expm1(-square / 2)), value)


def _even(r: Array, alpha: Array, scale: Array) -> tuple[Array, Array, Array]:
    return r, jnp.broadcast_to(alpha, r.shape), jnp.broadcast_to(scale, r.shape)


@jax.custom_jvp
def _expm1(z: Array) -> Array:
    return jnp.expm1(z)


@_expm1.defjvp
def _expm1_slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (z,), (tangent,) = primals, tangents
    return _expm1(z), jnp.exp(z) * tangent  # the rule of jnp.expm1, value + 1, has no digit left where z is far below 0


def _phi_near(z: Array) -> Array:
    """(exp(z) - 1) / z = exp(z / 2) sinh(z / 2) / (z / 2) for |z| <= 1/2, by the power series of the last factor."""
    square = z * z / 4
    sinhc = reduce(lambda total, n: 1 + square * total / (n * (n + 1)), (12, 10, 8, 6, 4, 2), jnp.ones_like(z))
    return jnp.exp(z / 2) * sinhc


@jax.custom_jvp
def _log_normalizer(alpha: Array) -> Array:
    """Log of Z(alpha), 2 times the integral of exp(-rho(x)) x over w = log x; alpha in [0, 2]."""
    return _integrals(alpha)[0]


@_log_normalizer.defjvp
def _log_normalizer_slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value, slope = _integrals(primals[0])
    return value, slope * tangents[0]  # nothing of the size of the nodes is kept for the way back


def _integrals(alpha: Array) -> tuple[Array, Array]:
    """log Z and its slope, -E[d rho / d alpha]."""
    w = jnp.linspace(-_SPREAD, _SPREAD, _STEPS + 1, dtype=alpha.dtype)
    shape = (*alpha.shape, w.size)
    nodes = jnp.broadcast_to(lax.expand_dims(w, tuple(range(alpha.ndim))), shape)
    wide = jnp.broadcast_to(lax.expand_dims(alpha, [alpha.ndim]), shape)
    rho, by_alpha = jax.jvp(lambda a: _rho(jnp.exp(nodes), a, jnp.ones_like(a)), (wide,), (jnp.ones_like(wide),))
    heights = jnp.exp(nodes - rho)
    total = jnp.sum(heights, -1)
    return jnp.log(total * (2 * 2 * _SPREAD / _STEPS)), -jnp.sum(heights * by_alpha, -1) / total


named_functions(adaptive_barron, barron, barron_nll)

"""Derivatives of Barron's robust losses.

With u = (r / c)^2, v = |a - 2| and L = log(1 + u / v) / 2:  rho = (v / a) (e^(a L) - 1), and

    drho/dr = (r / c^2) e^((a - 2) L)
    drho/dc = -(r / c) drho/dr
    drho/da = v L^2 phi'(a L) + (v L' e^(a L) - (rho / v)),   phi'(z) = (e^z (z - 1) + 1) / z^2,  a < 2

where v L' = u / (2 (v + u)) is v times the derivative of L by a.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann import losses
from jaxann.backprop.registry import loss_derivative
from jaxann.core.typing import Array, Scalar

__all__ = []


_WIDTH, _STEPS = 28.0, 336  # nodes x = exp(w) of the integral over |w| <= 28
_SERIES = tuple((k + 1) / math.factorial(k + 2) for k in range(14))  # phi'(z) = sum (k + 1) z^k / (k + 2)!


@loss_derivative(losses.barron_nll)
@loss_derivative(losses.barron)
def _barron(predictions: Array, targets: Array, *, alpha: Any = 1.0, scale: Any = 1.0) -> Array:
    """l = rho(r):  dl/dr = (r / c^2) (u / |a - 2| + 1)^(a/2 - 1); r / c^2 at a = 2, (r / c^2) e^(-u/2) at -inf."""
    return _by_residual(predictions - targets, jnp.asarray(alpha, predictions.dtype), scale)


@loss_derivative(losses.adaptive_barron)
def _adaptive_barron(
    predictions: Array, targets: Array, *, lowest: Scalar = 0.001, highest: Scalar = 1.999, smallest: Scalar = 1e-5
) -> Array:
    """l = rho(r) + log c + log Z(a), prediction [value, A, B], a = low + (high - low) s(A), c = small + softplus(B):

    dl/dvalue = drho/dr
    dl/dA = (drho/da - E[drho/da]) (high - low) s(A) s(-A)     E over the density e^(-rho) / Z
    dl/dB = (1/c - (r / c) drho/dr) s(B)
    """
    dtype = predictions.dtype
    value, raw_alpha, raw_scale = (predictions[..., i] for i in range(3))
    low, high = jnp.asarray(lowest, dtype), jnp.asarray(highest, dtype)
    a = low + (high - low) * lax.logistic(raw_alpha)
    c = jnp.asarray(smallest, dtype) + jax.nn.softplus(raw_scale)
    r = value - targets
    by_value = _by_residual(r, a, c)
    by_alpha = _by_shape(r / c, a)[1] - _mean_by_shape(a)
    return jnp.stack(
        [
            by_value,
            by_alpha * (high - low) * lax.logistic(raw_alpha) * lax.logistic(-raw_alpha),
            (1 / c - r / c * by_value) * lax.logistic(raw_scale),
        ],
        -1,
    )


def _by_residual(r: Array, alpha: Array, scale: Any) -> Array:
    a = jnp.broadcast_to(alpha, r.shape)
    c = jnp.broadcast_to(jnp.asarray(scale, r.dtype), r.shape)
    square = (r / c) ** 2
    welsch, quadratic = jnp.isneginf(a), a == 2
    shape = jnp.where(welsch | quadratic, 1, a)
    exponent = (shape - 2) * jnp.log1p(square / jnp.abs(shape - 2)) / 2
    exponent = jnp.where(quadratic, 0, jnp.where(welsch, -square / 2, exponent))
    return r / c / c * jnp.exp(exponent)


def _by_shape(x: Array, a: Array) -> tuple[Array, Array]:
    """`(rho, drho/da)` for c = 1 and a in [0, 2]; the slope is 0 at a = 2, where it has no bound."""
    edge = a == 2
    a = jnp.where(edge, 1, a)
    v, square = 2 - a, x * x
    half_log = jnp.log1p(square / v) / 2
    z = a * half_log
    near = z < 0.5
    small, large = jnp.where(near, z, 0), jnp.where(near, 1, z)
    phi = jnp.where(near, _expm1_over(small), jnp.expm1(large) / large)
    bend = jnp.where(near, _polynomial(small), (jnp.exp(large) * (large - 1) + 1) / (large * large))
    rho = v * half_log * phi
    by_a = v * half_log * half_log * bend + square / (2 * (v + square)) * jnp.exp(z) - half_log * phi
    return jnp.where(edge, square / 2, rho), jnp.where(edge, 0, by_a)


def _mean_by_shape(alpha: Array) -> Array:
    """E[drho/da] = -dlog Z/da, over the density e^(-rho(x)) / Z, by the trapezoidal rule in log x."""
    w = jnp.linspace(-_WIDTH, _WIDTH, _STEPS + 1, dtype=alpha.dtype)
    nodes = jnp.broadcast_to(lax.expand_dims(w, range(alpha.ndim)), (*alpha.shape, w.size))
    rho, by_a = _by_shape(jnp.exp(nodes), jnp.broadcast_to(lax.expand_dims(alpha, [alpha.ndim]), nodes.shape))
    heights = jnp.exp(nodes - rho)
    return jnp.sum(heights * by_a, -1) / jnp.sum(heights, -1)


def _expm1_over(z: Array) -> Array:
    """(e^z - 1) / z for 0 <= z < 1/2."""
    none = z == 0
    return jnp.where(none, 1, jnp.expm1(jnp.where(none, 1, z)) / jnp.where(none, 1, z))


def _polynomial(z: Array) -> Array:
    return reduce(lambda total, c: total * z + c, _SERIES[-2::-1], jnp.full_like(z, _SERIES[-1]))

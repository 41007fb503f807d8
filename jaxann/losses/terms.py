"""Terms of a loss written so that each is at least 0, and keeps its digits where it is small."""

from __future__ import annotations

import math
from functools import reduce

import jax
import jax.numpy as jnp

from jaxann.core.typing import Array

__all__ = [
    "at_least_zero",
    "difference",
    "exp_less_tangent",
    "held_above",
    "quotient",
    "without_rounding",
]

_SERIES = tuple(1 / math.factorial(n) for n in range(16, 1, -1))


def exp_less_tangent(u: Array) -> Array:
    """exp(u) - 1 - u >= 0 for |u| <= 1/2, by its series: the difference itself has no digit left near 0."""
    return u * u * reduce(lambda total, c: total * u + c, _SERIES, jnp.zeros_like(u))


@jax.custom_jvp
def at_least_zero(x: Array) -> Array:
    """x, and 0 where rounding has taken it below; the slope is 1 there too."""
    return jnp.maximum(x, 0)


@jax.custom_jvp
def without_rounding(x: Array) -> Array:
    """x, and 0 where it is no more than what rounding leaves of a difference of sums that are 1; slope 1 everywhere."""
    return jnp.where(jnp.abs(x) <= 256 * jnp.finfo(x.dtype).eps, 0, x)


@at_least_zero.defjvp
def _at_least_zero_slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return at_least_zero(*primals), tangents[0]


@without_rounding.defjvp
def _without_rounding_slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return without_rounding(*primals), tangents[0]


@jax.custom_jvp
def held_above(x: Array, floor: Array) -> Array:
    """max(x, floor) with slope 1 by x everywhere, at -inf too."""
    return jnp.maximum(x, floor)


@held_above.defjvp
def _held_above_slope(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (x, floor), (by_x, by_floor) = primals, tangents
    return held_above(x, floor), by_x + jnp.where(x < floor, jnp.broadcast_to(by_floor, x.shape), 0)


@jax.custom_jvp
def quotient(above: Array, below: Array) -> Array:
    """above / below, whose slope needs no square of what is below: that vanishes from 1e-19 on in float32."""
    return above / below


@quotient.defjvp
def _quotient_slope(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    found = quotient(*primals)
    return found, (tangents[0] - found * tangents[1]) / primals[1]


def difference(a: Array, b: Array) -> Array:
    """a - b, of finite numbers finite: two that are large may be farther apart than any number."""
    most = jnp.finfo(a.dtype).max
    apart = a - b
    return jnp.where(jnp.isfinite(a) & jnp.isfinite(b), jnp.clip(apart, -most, most), apart)

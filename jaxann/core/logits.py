"""Softmax and its kin in a form that rounding cannot break, whatever the compiler makes of it.

Each begins by taking the greatest logit off. Written as x - max(x) that is not safe: where the logits are a product,
XLA computes it twice, rounded on one side of the subtraction and fused with it (not rounded) on the other. The greatest
of the differences is then not 0 but up to half a unit in the last place of the logits: a cross entropy falls below 0,
and of logits of 1e10 the exponentials overflow, or are all 0. The smaller of x and max(x), less max(x), is the same,
but there is no product next to the subtraction: the greatest difference is 0 to the last bit, all others at most 0.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar

__all__ = ["below_greatest", "log_mean_exp", "log_softmax", "log_sum_exp", "log_total_and_chosen", "softmax"]

_FAR = 1e4  # exp(-_FAR) is 0 in every dtype


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _apart(x: Array, greatest: Array, bounded: bool) -> Array:
    """x - greatest, at most 0, with slope 1 in x (greatest is a constant); if bounded, of finite numbers finite."""
    apart = jnp.where(x > greatest, greatest, x) - greatest
    if not bounded:
        return apart
    lowest = jnp.asarray(-jnp.finfo(x.dtype).max, x.dtype)
    lowest = jnp.where(x > lowest, lowest, x)  # an infinite logit stays where it is
    return jnp.where(apart < lowest, lowest, apart)


@_apart.defjvp
def _apart_slope(bounded: bool, primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    apart = _apart(*primals, bounded)
    return apart, jnp.broadcast_to(tangents[0], apart.shape)


def _below(x: Array, greatest: Array) -> Array:
    return _apart(x, greatest, True)


def _powers(x: Array, greatest: Array) -> Array:
    """exp(x - greatest): 0 as well where the difference itself would overflow."""
    return jnp.exp(_apart(x, greatest, False))


def _sum(powers: Array, axis: int, keepdims: bool = False) -> Array:
    """Their sum, in float32 or better: float16 ends at 65,504, and as many may be 1."""
    return jnp.sum(powers, axis, dtype=wide_dtype(powers.dtype), keepdims=keepdims)


def _greatest(x: Array, axis: int) -> Array:
    return lax.stop_gradient(jnp.max(x, axis, keepdims=True, initial=-jnp.inf))


def below_greatest(x: Array, axis: int = -1) -> Array:
    """x_i - max x along an axis: 0 for the greatest, else at most 0, with slope 1 (as if the greatest were a constant).

    NaN where the greatest is infinite, as infinity less infinity is.
    """
    return _below(x, _greatest(x, axis))


def log_softmax(x: Array, axis: int = -1) -> Array:
    """x_i - log sum_j exp(x_j): at most 0, finite for finite logits."""
    greatest = _greatest(x, axis)
    return _below(x, greatest) - jnp.log(_sum(_powers(x, greatest), axis, keepdims=True)).astype(x.dtype)


def log_total_and_chosen(x: Array, chosen: Array) -> tuple[Array, Array]:
    """`(log sum_j exp(x_j - max x), x_chosen - max x)` along the last axis, which is gone: never below 0, never above.

    Their difference is -log softmax(x) of what is chosen.

    Args:
        x: logits.
        chosen: of the same shape, true for one entry of each row; where there is none the second is 0.
    """
    greatest = _greatest(x, -1)
    total = jnp.log(_sum(_powers(x, greatest), -1)).astype(x.dtype)
    # The sum of the differences and not the difference of the sum, which XLA would take in a loop of its own.
    return total, jnp.sum(jnp.where(chosen, _below(x, greatest), 0), -1)


def softmax(x: Array, axis: int = -1, where: Array | None = None, temperature: Scalar | None = None) -> Array:
    """exp(x_i / T) / sum_j exp(x_j / T) over the entries with True (0 elsewhere, and where there is none).

    Divided by T is what is left once the greatest is off: the quotient of a logit may overflow, that of a difference
    only falls to a probability of 0.
    """
    if where is not None:
        x = jnp.where(where, x, -jnp.inf)
    greatest = _greatest(x, axis)
    if where is not None:
        greatest = jnp.where(jnp.any(where, axis, keepdims=True), greatest, 0)
    shifted = _apart(x, greatest, False)
    if temperature is not None:
        scale = jnp.asarray(temperature, x.dtype)
        shifted = jnp.maximum(shifted, -_FAR * scale) / scale
    return _shares(shifted, axis) if where is None else jnp.where(where, _shares(shifted, axis), 0)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _shares(z: Array, axis: int) -> Array:
    """exp(z_i) / sum_j exp(z_j) for z whose greatest entry is 0; 0 of nothing."""
    powers = jnp.exp(z)
    total = _sum(powers, axis, keepdims=True)
    return (powers.astype(total.dtype) / jnp.where(total == 0, 1, total)).astype(z.dtype)


@_shares.defjvp
def _shares_slope(axis: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    p = _shares(*primals, axis)
    return p, p * (tangents[0] - _sum(p * tangents[0], axis, keepdims=True).astype(p.dtype))


def log_sum_exp(x: Array, axis: int = -1) -> Array:
    """log sum_i exp(x_i) along an axis, which is gone; -inf with slope 0 where all are -inf, or there is none."""
    return _log_total(x, axis, 1)


def log_mean_exp(x: Array, axis: int = -1) -> Array:
    """log of the mean of exp(x_i) along an axis, which is gone: at most the greatest x; -inf of none."""
    return _log_total(x, axis, max(x.shape[axis], 1))


def _log_total(x: Array, axis: int, share: int) -> Array:
    greatest = _greatest(x, axis)
    level = jnp.where(jnp.isinf(greatest), 0, greatest)
    highest = jnp.where(jnp.isposinf(greatest), greatest, 0)  # an infinity among the logits is the sum
    total = _sum(_powers(x, level), axis) / share
    empty = total == 0
    found = jnp.where(empty, -jnp.inf, jnp.log(jnp.where(empty, 1, total))).astype(x.dtype)
    return found + jnp.squeeze(level + highest, axis)

"""Normalization of each channel by the mean and the variance of a batch, with the derivative in its shortest form."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jaxann.core.checks import check_unmasked
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar
from jaxann.ops.channels import at_all_places, channel_sums
from jaxann.ops.norm import inverse_deviation

__all__ = ["batch_normalize"]


def batch_normalize(
    x: Array, scale: Array, bias: Array, eps: Scalar, mask: Array | None = None
) -> tuple[Array, Array, Array, Array]:
    """y = scale (x - mean) / sqrt(variance + eps) + bias, mean and biased variance over all axes of x but the last.

    With u = (x - mean) / sqrt(variance + eps) and r = 1 / sqrt(variance + eps), a change of x by dx changes y by

        dy = v - mean(v) - u mean(u v),    v = scale r dx

    and backward the two means are those that the gradients of bias and scale are of: each pass over x is made once.

    Args:
        x: `(batch, ..., channels)`; computed in float32 or better, returned in its own dtype.
        scale, bias: `(channels,)`.
        eps: added to the variance; a constant channel of eps 0 gives the bias.
        mask: over the leading axes of x; 0 leaves a place out of the statistics and gives 0 there.

    Returns:
        `(y, mean, variance, count)`; the statistics in float32 or better, `(channels,)` and `()`.

    Source: Ioffe and Szegedy 2015.

    Raises:
        InputError: an array is masked.
    """
    for argument, value in (("x", x), ("scale", scale), ("bias", bias), ("mask", mask)):
        check_unmasked("batch_normalize", argument, value)
    wide = wide_dtype(x.dtype)
    real = None
    if mask is not None:
        real = jnp.broadcast_to(lax.expand_dims(mask.astype(bool), range(mask.ndim, x.ndim)), x.shape)
    count = jnp.asarray(math.prod(x.shape[:-1]), wide) if real is None else jnp.sum(real[..., :1], dtype=wide)
    given = (x.astype(wide), scale.astype(wide), bias.astype(wide), jnp.asarray(eps, wide))
    y, mean, variance = _normalized(*given, real, count)
    return y.astype(x.dtype), mean, variance, count


@jax.custom_jvp
def _normalized(x: Array, scale: Array, bias: Array, eps: Array, real: Array | None, count: Array) -> tuple:
    u, _, mean, variance = _parts_of(x, eps, real, count)
    return _kept(u * at_all_places(scale, x) + at_all_places(bias, x), real), mean, variance


def _parts_of(x: Array, eps: Array, real: Array | None, count: Array) -> tuple[Array, Array, Array, Array]:
    """u, r, mean and variance; u is 0 where nothing counts."""
    number = jnp.maximum(count, 1)
    mean = channel_sums(_kept(x, real)) / number
    centered = _kept(x - at_all_places(mean, x), real)
    variance = channel_sums(centered * centered) / number
    r = inverse_deviation(variance, eps)
    return centered * at_all_places(r, x), r, mean, variance


def _kept(x: Array, real: Array | None) -> Array:
    return x if real is None else jnp.where(real, x, 0)


def _derivative(primals: tuple, tangents: tuple) -> tuple[tuple, tuple]:
    x, scale, bias, eps, real, count = primals
    dx, by_scale, by_bias, by_eps = (None if isinstance(t, SymbolicZero) else t for t in tangents[:4])
    u, r, mean, variance = _parts_of(x, eps, real, count)
    number = jnp.maximum(count, 1)
    y = _kept(u * at_all_places(scale, x) + at_all_places(bias, x), real)
    terms: list[Any] = []
    level, slope = by_bias, by_scale  # of all places, and of u
    of_mean, of_variance = jnp.zeros_like(mean), jnp.zeros_like(variance)
    if dx is not None:
        dx = _kept(dx, real)
        v = dx * at_all_places(scale * r, x)
        level = _plus(level, -channel_sums(v) / number)
        slope = _plus(slope, -channel_sums(v * u) / number)
        terms.append(v)
        of_mean = channel_sums(dx) / number
        centered = _kept(x - at_all_places(mean, x), real)
        of_variance = 2 * channel_sums(centered * dx) / number
    if by_eps is not None:
        slope = _plus(slope, -scale * r * r * by_eps / 2)
    if level is not None:
        terms.append(at_all_places(level, x))
    if slope is not None:
        terms.append(at_all_places(slope, x) * u)
    total = jnp.zeros_like(x)
    for term in terms:
        total = total + term
    return (y, mean, variance), (_kept(total, real), of_mean, of_variance)


def _plus(a: Array | None, b: Array) -> Array:
    return b if a is None else a + b


_normalized.defjvp(_derivative, symbolic_zeros=True)

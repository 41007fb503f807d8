"""Normalization by mean and variance."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_unmasked
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar

__all__ = ["inverse_deviation", "moments", "normalize"]


def moments(x: Array, mask: Array | None = None) -> tuple[Array, Array, Array]:
    """Mean and biased variance over all axes but the last, in float32 or better, by two passes.

    E[x^2] - E[x]^2 would lose all digits for a large mean (1e4 + {0, 1, 2} gives 0 in float32, not 2/3).

    Args:
        x: `(batch, ..., channels)`.
        mask: over the leading axes of x, `(batch,)` or `(batch, time)`; 0 leaves a place out, None counts all.

    Returns:
        `(mean, variance, count)`, of shapes `(channels,)`, `(channels,)` and `()`; zeros where nothing counts.
    """
    x = x.astype(wide_dtype(x.dtype))
    axes = tuple(range(x.ndim - 1))
    if mask is None:
        count = math.prod(x.shape[:-1])
        if count == 0:
            return jnp.zeros(x.shape[-1:], x.dtype), jnp.zeros(x.shape[-1:], x.dtype), jnp.zeros((), x.dtype)
        mean = jnp.mean(x, axes)
        centered = x - jnp.broadcast_to(mean, x.shape)
        return mean, jnp.mean(centered * centered, axes), jnp.asarray(count, x.dtype)
    weight = jnp.broadcast_to(lax.expand_dims(mask.astype(x.dtype), range(mask.ndim, x.ndim)), (*x.shape[:-1], 1))
    count = jnp.sum(weight)
    safe = jnp.maximum(count, 1)
    mean = jnp.sum(jnp.where(weight > 0, x, 0), axes) / safe
    centered = jnp.where(weight > 0, x - jnp.broadcast_to(mean, x.shape), 0)
    return mean, jnp.sum(centered * centered, axes) / safe, count


def inverse_deviation(variance: Array, eps: Scalar) -> Array:
    """1 / sqrt(variance + eps); 0 where that is 1 / 0, so that a constant feature without an eps is not 0 / 0.

    NaN where the variance has overflowed: 0 in its place would make all features the bias, and look like a result.
    """
    widened = variance + jnp.asarray(eps, variance.dtype)
    found = jnp.where(widened == 0, 0, lax.rsqrt(jnp.where(widened == 0, 1, widened)))
    return jnp.where(jnp.isposinf(widened), jnp.nan, found)


def normalize(x: Array, mean: Array, variance: Array, scale: Array | None, bias: Array | None, eps: Scalar) -> Array:
    """y = scale (x - mean) / sqrt(variance + eps) + bias, along the last axis.

    Args:
        x: `(..., channels)`; computed in the dtype of the statistics, returned in its own.
        mean, variance: `(channels,)`.
        scale, bias: `(channels,)` or None.
        eps: keeps the slope of a nearly constant feature small; a constant one of eps 0 gives the bias.
    """
    for argument, value in (("x", x), ("mean", mean), ("variance", variance), ("scale", scale), ("bias", bias)):
        check_unmasked("normalize", argument, value)
    wide = mean.dtype
    factor = inverse_deviation(variance, eps)
    if scale is not None:
        factor = factor * scale.astype(wide)
    y = (x.astype(wide) - jnp.broadcast_to(mean, x.shape)) * jnp.broadcast_to(factor, x.shape)
    if bias is not None:
        y = y + jnp.broadcast_to(bias.astype(wide), x.shape)
    return y.astype(x.dtype)

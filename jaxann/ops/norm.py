"""Normalization by mean and variance: of each channel over a batch, or of each example by itself.

The statistics of an example's own norms (`standardize`) come out right for a mean far greater than the deviations: the
mean of a sum in float32 is wrong in its last digit, so what is left after it is taken away has a mean of its own, which
is taken away as well. That second mean is 0 but for rounding, and so is every derivative of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxann.core.checks import check_floating, check_integer, check_range, check_unmasked, fail, is_concrete
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar
from jaxann.ops.channels import at_all_places, channel_sums

__all__ = [
    "Standardized",
    "group_norm",
    "grouped",
    "in_groups",
    "instance_norm",
    "inverse_deviation",
    "inverse_magnitude",
    "layer_norm",
    "moments",
    "normalize",
    "rms_norm",
    "standardize",
]


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
    if mask is None:
        count = math.prod(x.shape[:-1])
        if count == 0:
            return jnp.zeros(x.shape[-1:], x.dtype), jnp.zeros(x.shape[-1:], x.dtype), jnp.zeros((), x.dtype)
        mean = channel_sums(x) / count
        centered = x - at_all_places(mean, x)
        return mean, channel_sums(centered * centered) / count, jnp.asarray(count, x.dtype)
    weight = jnp.broadcast_to(lax.expand_dims(mask.astype(x.dtype), range(mask.ndim, x.ndim)), (*x.shape[:-1], 1))
    count = jnp.sum(weight)
    safe = jnp.maximum(count, 1)
    mean = channel_sums(jnp.where(weight > 0, x, 0)) / safe
    centered = jnp.where(weight > 0, x - at_all_places(mean, x), 0)
    return mean, channel_sums(centered * centered) / safe, count


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
    y = (x.astype(wide) - at_all_places(mean, x)) * at_all_places(factor, x)
    if bias is not None:
        y = y + at_all_places(bias.astype(wide), x)
    return y.astype(x.dtype)


class Standardized(NamedTuple):
    """What `standardize` finds, in float32 or better."""

    values: Array  # (x - mean) / sqrt(variance + eps), of the shape of x; 0 where nothing counts
    factor: Array  # 1 / sqrt(variance + eps), with the axes of the statistics kept as ones
    count: Array  # how many numbers each mean is of, likewise


def standardize(x: Array, axes: tuple[int, ...], eps: Scalar, mask: Array | None = None) -> Standardized:
    """(x - mean) / sqrt(variance + eps), mean and biased variance over the given axes alone, by two passes.

    Args:
        x: any shape; computed in float32 or better.
        axes: over which the statistics run.
        eps: added to the variance; with 0 what does not vary gives 0.
        mask: over the leading axes of x; 0 leaves a place out of the statistics and gives 0 there, None counts all.
    """
    real = None if mask is None else lax.expand_dims(mask.astype(bool), range(mask.ndim, x.ndim))
    real = None if real is None else jnp.broadcast_to(real, x.shape)
    x = x.astype(wide_dtype(x.dtype))
    if real is None:
        shape = [1 if axis in axes else length for axis, length in enumerate(x.shape)]
        count = jnp.full(shape, math.prod(x.shape[axis] for axis in axes), x.dtype)
    else:
        count = jnp.sum(real, axes, dtype=x.dtype, keepdims=True)

    def counted(values: Array, otherwise: float = 0) -> Array:
        return values if real is None else jnp.where(real, values, otherwise)

    def mean(values: Array) -> Array:
        return jnp.sum(counted(values), axes, keepdims=True) / jnp.maximum(count, 1)

    centered = x - jnp.broadcast_to(mean(x), x.shape)
    centered = counted(centered - jnp.broadcast_to(lax.stop_gradient(mean(centered)), x.shape))
    variance = mean(centered * centered)
    if not (is_concrete(eps) and np.asarray(eps).astype(x.dtype) > 0):  # the mean of equal numbers is not quite theirs
        highest = jnp.max(counted(x, -jnp.inf), axes, keepdims=True)
        variance = jnp.where(highest > jnp.min(counted(x, jnp.inf), axes, keepdims=True), variance, 0)
    factor = inverse_deviation(variance, eps)
    return Standardized(centered * jnp.broadcast_to(factor, x.shape), factor, count)


def layer_norm(
    x: Array,
    scale: Array | None = None,
    bias: Array | None = None,
    *,
    axes: int = 1,
    eps: Scalar = 1e-5,
    mask: Array | None = None,
) -> Array:
    """y = scale (x - mean) / sqrt(variance + eps) + bias, the statistics over the last axes of each example.

    Args:
        x: `(batch, ..., features)`.
        scale, bias: of the shape of the last axes, or None.
        axes: how many of the last axes the statistics run over.
        eps: added to the variance; with 0 what does not vary gives the bias.
        mask: over the leading axes of x; 0 leaves a place out of the statistics, and gives the bias there.

    Raises:
        InputError: x has not more axes, or the scale, the bias or the mask another shape.
    """
    check_integer("layer_norm", "axes", axes)
    _check("layer_norm", x, scale, bias, eps, mask, axes)
    return _scaled(x, standardize(x, tuple(range(x.ndim - axes, x.ndim)), eps, mask).values, scale, bias)


def group_norm(
    x: Array,
    scale: Array | None = None,
    bias: Array | None = None,
    *,
    groups: int = 32,
    eps: Scalar = 1e-5,
    mask: Array | None = None,
) -> Array:
    """y = scale (x - mean) / sqrt(variance + eps) + bias, the statistics over all places of a group of an example.

    Args:
        x: `(batch, *places, channels)`; channels side by side are a group.
        scale, bias: `(channels,)`, or None.
        groups: how many groups the channels fall into.
        eps: added to the variance; with 0 what does not vary gives the bias.
        mask: over the leading axes of x; 0 leaves a place out of the statistics, and gives the bias there.

    Raises:
        InputError: groups do not divide the channels, or the scale, the bias or the mask have another shape.
    """
    check_integer("group_norm", "groups", groups)
    _check("group_norm", x, scale, bias, eps, mask)
    if x.shape[-1] % groups:
        fail("group_norm", "x", f"of channels that groups ({groups}) divide", f" shape {x.shape}")
    return _scaled(x, grouped(x, groups, eps, mask).values.reshape(x.shape), scale, bias)


def grouped(x: Array, groups: int, eps: Scalar, mask: Array | None = None) -> Standardized:
    """`standardize` of x as `(batch, *places, groups, channels / groups)`, over all axes but batch and groups."""
    return standardize(in_groups(x, groups), (*range(1, x.ndim - 1), x.ndim), eps, mask)


def in_groups(x: Array, groups: int) -> Array:
    """x as `(batch, *places, groups, channels / groups)`.

    Where the type of x says that the channels lie on several devices, and a group would lie on more than one of them
    beside others, they are brought together first.
    """
    sharding = jax.typeof(x).sharding
    names = sharding.spec[-1] if AxisType.Explicit in sharding.mesh.axis_types else None
    if names is not None and groups > 1:
        devices = math.prod(sharding.mesh.shape[name] for name in (names if isinstance(names, tuple) else (names,)))
        if groups % devices:
            x = jax.sharding.reshard(x, NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[:-1], None)))
    return x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)


def instance_norm(
    x: Array,
    scale: Array | None = None,
    bias: Array | None = None,
    *,
    eps: Scalar = 1e-5,
    mask: Array | None = None,
) -> Array:
    """y = scale (x - mean) / sqrt(variance + eps) + bias, the statistics over all places of a channel of an example.

    Args:
        x: `(batch, *places, channels)`.
        scale, bias, eps, mask: as of `group_norm`.

    Raises:
        InputError: x has no axis of places, or the scale, the bias or the mask have another shape.
    """
    _check("instance_norm", x, scale, bias, eps, mask)
    if x.ndim < 3:
        fail("instance_norm", "x", "of shape (batch, *places, channels)", f" shape {x.shape}")
    return _scaled(x, standardize(x, tuple(range(1, x.ndim - 1)), eps, mask).values, scale, bias)


def rms_norm(x: Array, scale: Array | None = None, *, eps: Scalar = 1e-6) -> Array:
    """y = scale x / sqrt(mean x^2 + eps), the mean over the last axis: nothing is taken away.

    Args:
        x: `(..., features)`; computed in float32 or better.
        scale: `(features,)`, or None.
        eps: added to the mean; with 0 a row of zeros gives 0.

    Raises:
        InputError: x has no axis, or the scale another shape.
    """
    _check("rms_norm", x, scale, None, eps, None, 0)
    factor = inverse_magnitude(x, eps)
    return _scaled(x, x.astype(factor.dtype) * jnp.broadcast_to(factor, x.shape), scale, None)


def inverse_magnitude(x: Array, eps: Scalar) -> Array:
    """1 / sqrt(mean x^2 + eps) over the last axis, which is kept as one, in float32 or better; 0 where it is 1 / 0."""
    x = x.astype(wide_dtype(x.dtype))
    return inverse_deviation(jnp.mean(x * x, -1, keepdims=True), eps)


def _check(
    function: str,
    x: Array,
    scale: Array | None,
    bias: Array | None,
    eps: Scalar,
    mask: Array | None,
    axes: int = 1,
) -> None:
    """A batch of numbers, vectors that fit its last axes, a mask that fits its first."""
    check_floating(function, "x", x)
    check_range(function, "eps", eps, 0)
    for argument, value in (("x", x), ("scale", scale), ("bias", bias), ("mask", mask)):
        check_unmasked(function, argument, value)
    if x.ndim <= axes:
        fail(function, "x", f"of more than {axes} axes", f" shape {x.shape}")
    shape = x.shape[-max(axes, 1) :]
    for argument, value in (("scale", scale), ("bias", bias)):
        if value is not None and value.shape != shape:
            fail(function, argument, f"of shape {shape}", f" shape {value.shape}")
    if mask is not None and mask.shape != x.shape[: mask.ndim]:
        fail(function, "mask", f"of x's leading shape {x.shape[: mask.ndim]}", f" shape {mask.shape}")


def _scaled(x: Array, values: Array, scale: Array | None, bias: Array | None) -> Array:
    """scale u + bias along the last axes, in the dtype of x."""
    if scale is not None:
        values = values * jnp.broadcast_to(scale.astype(values.dtype), values.shape)
    if bias is not None:
        values = values + jnp.broadcast_to(bias.astype(values.dtype), values.shape)
    return values.astype(x.dtype)

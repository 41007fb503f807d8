"""Weights made of other weights: standardized, of a length of their own, or of the spectral norm 1.

A weight has its outputs on one axis; all that one output reads, the other axes, is a row here. So a weight is a matrix
of `(outputs, all others)`, though it is never laid out as one: products with vectors are sums over its own axes.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_floating, check_integer, check_range, check_unmasked, fail
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar
from jaxann.ops.norm import standardize

__all__ = [
    "other_axes",
    "over_rows",
    "power_iteration",
    "row_length",
    "row_sum",
    "spectral_norm",
    "spectral_value",
    "weight_norm",
    "weight_standardized",
]


def weight_standardized(weight: Array, scale: Array | None = None, *, axis: int = -1, eps: Scalar = 1e-5) -> Array:
    """(W - mean) / sqrt(variance + eps), times the scale: each output's row has mean 0 and variance 1.

    Args:
        weight: at least two axes; computed in float32 or better.
        scale: `(outputs,)`, or None.
        axis: that of the outputs.
        eps: added to the variance; with 0 a row of equal numbers gives 0.

    Raises:
        InputError: the weight has one axis or none, or the scale another shape.
    """
    axis = _check("weight_standardized", weight, axis, scale=scale)
    check_range("weight_standardized", "eps", eps, 0)
    made = standardize(weight, other_axes(weight, axis), eps).values
    if scale is not None:
        made = made * over_rows(scale.astype(made.dtype), made, axis)
    return made.astype(weight.dtype)


def weight_norm(direction: Array, scale: Array, *, axis: int = -1, eps: Scalar = 1e-12) -> Array:
    """W = scale v / max(|v|, eps): each output's row has the direction of v's and a length of its own.

    Args:
        direction: v, at least two axes; computed in float32 or better.
        scale: `(outputs,)`.
        axis: that of the outputs.
        eps: the length below which v is divided by eps itself, above 0.

    Raises:
        InputError: v has one axis or none, or the scale another shape.
    """
    axis = _check("weight_norm", direction, axis, scale=scale)
    check_range("weight_norm", "eps", eps, 0, open_low=True)
    v = direction.astype(wide_dtype(direction.dtype))
    factor = scale.astype(v.dtype) / row_length(v, axis, eps)
    return (v * over_rows(factor, v, axis)).astype(direction.dtype)


def row_length(v: Array, axis: int, eps: Scalar) -> Array:
    """max(|v|, eps) of each output's row; the slope is 0 where it is eps."""
    eps = jnp.asarray(eps, v.dtype)
    squares = row_sum(v * v, axis)
    long = squares > eps * eps
    return jnp.where(long, jnp.sqrt(jnp.where(long, squares, 1)), eps)


def spectral_norm(weight: Array, u: Array, v: Array, *, axis: int = -1) -> Array:
    """W / sigma, sigma = u W v: W divided by its greatest singular value, where u and v are that value's vectors.

    Args:
        weight: at least two axes; computed in float32 or better. A weight of sigma 0 gives 0.
        u: `(outputs,)`, of length 1.
        v: of the weight's shape without the axis of the outputs, of length 1. Both from `power_iteration`; no gradient
            reaches them.
        axis: that of the outputs.

    Raises:
        InputError: the weight has one axis or none, or u or v another shape.
    """
    axis = _check("spectral_norm", weight, axis, u=u, v=v)
    wide = weight.astype(wide_dtype(weight.dtype))
    u, v = lax.stop_gradient((u.astype(wide.dtype), v.astype(wide.dtype)))
    sigma = spectral_value(wide, u, v, axis)
    factor = jnp.where(sigma == 0, 0, 1 / jnp.where(sigma == 0, 1, sigma))
    return (wide * jnp.broadcast_to(factor, wide.shape)).astype(weight.dtype)


def spectral_value(weight: Array, u: Array, v: Array, axis: int) -> Array:
    """sigma = u W v."""
    return jnp.sum(u * _times(weight, v, axis))


def power_iteration(
    weight: Array, u: Array, v: Array, *, axis: int = -1, n_steps: int = 1, eps: Scalar = 1e-12
) -> tuple[Array, Array]:
    """u = W v / |W v|, v = W' u / |W' u|, so many times: they come to the vectors of the greatest singular value.

    Args:
        weight, u, v, axis: as of `spectral_norm`; W' is W with rows for columns.
        n_steps: how many times.
        eps: what is shorter is divided by eps itself, above 0.

    Returns:
        `(u, v)`.

    Raises:
        InputError: the weight has one axis or none, or u or v another shape.
    """
    axis = _check("power_iteration", weight, axis, u=u, v=v)
    check_integer("power_iteration", "n_steps", n_steps)
    check_range("power_iteration", "eps", eps, 0, open_low=True)
    wide = weight.astype(wide_dtype(weight.dtype))
    u, v = u.astype(wide.dtype), v.astype(wide.dtype)

    def unit(vector: Array) -> Array:
        length = jnp.sqrt(jnp.sum(vector * vector))
        return vector / jnp.broadcast_to(jnp.maximum(length, jnp.asarray(eps, wide.dtype)), vector.shape)

    for _ in range(n_steps):
        u = unit(_times(wide, v, axis))
        v = unit(jnp.sum(wide * over_rows(u, wide, axis), axis))
    return u, v


def over_rows(vector: Array, weight: Array, axis: int) -> Array:
    """One number for each output, along the axis of the outputs."""
    return jnp.broadcast_to(lax.expand_dims(vector, other_axes(weight, axis)), weight.shape)


def row_sum(weight: Array, axis: int) -> Array:
    """The sum over each output's row: `(outputs,)`."""
    return jnp.sum(weight, other_axes(weight, axis))


def _times(weight: Array, v: Array, axis: int) -> Array:
    """W v."""
    return row_sum(weight * jnp.broadcast_to(jnp.expand_dims(v, axis), weight.shape), axis)


def other_axes(weight: Array, axis: int) -> tuple[int, ...]:
    """All axes but that of the outputs."""
    return tuple(i for i in range(weight.ndim) if i != axis % weight.ndim)


def _check(function: str, weight: Array, axis: int, **vectors: Array | None) -> int:
    """The axis counted from 0, of a weight that has it; vectors that fit."""
    argument = "direction" if function == "weight_norm" else "weight"
    check_floating(function, argument, weight)
    check_unmasked(function, argument, weight)
    if weight.ndim < 2:
        fail(function, argument, "of at least two axes", f" shape {weight.shape}")
    check_integer(function, "axis", axis, -weight.ndim)
    if axis >= weight.ndim:
        fail(function, "axis", f"one of the {weight.ndim} of a weight of shape {weight.shape}", axis)
    axis = axis % weight.ndim
    for name, vector in vectors.items():
        check_unmasked(function, name, vector)
        shape = weight.shape[:axis] + weight.shape[axis + 1 :] if name == "v" else weight.shape[axis : axis + 1]
        if vector is not None and vector.shape != shape:
            fail(function, name, f"of shape {shape}", f" shape {vector.shape}")
    return axis

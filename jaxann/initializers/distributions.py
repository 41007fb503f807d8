"""Distributions that do not depend on the fans: constants, normal and uniform draws."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_range, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.products import Initializer
from jaxann.core.typing import Array, Key, Scalar

__all__ = ["constant", "normal", "ones", "truncated_normal", "uniform", "zeros"]


@factory(Initializer)
def zeros():
    """w = 0: biases. A weight matrix that feeds hidden units must not be zero: no gradient would reach it.

    Peers: as jax.nn, PyTorch and Keras.
    """
    return lambda key, shape, dtype: jnp.zeros(shape, dtype)


@factory(Initializer)
def ones():
    """w = 1: the scale of a normalization.

    Peers: as jax.nn, PyTorch and Keras.
    """
    return lambda key, shape, dtype: jnp.ones(shape, dtype)


@factory(Initializer)
def constant(value: Scalar | Array = 0.0):
    """w = value: a number, or an array whose shape broadcasts to that of w, such as the biases of `log_prior`.

    Equal weights of hidden units stay equal for ever: a constant is for biases and scales.

    Args:
        value: finite.

    Peers: as jax.nn, PyTorch and Keras; PyTorch takes numbers alone.

    Raises:
        InputError: the value is not finite, or its shape does not broadcast to that of the weights.
    """
    check_range("constant", "value", value, arrays=True)

    def draw(key, shape, dtype):
        given = np.shape(value)
        if len(given) > len(shape) or any(n not in (1, m) for n, m in zip(given[::-1], shape[::-1], strict=False)):
            fail("constant", "value", f"of a shape that broadcasts to {shape}", f" shape {given}")
        return jnp.broadcast_to(jnp.asarray(value, dtype), shape)

    return draw


@factory(Initializer)
def normal(stddev: Scalar = 0.01):
    """w ~ N(0, stddev^2). The argument is the standard deviation, not the variance.

    Tables of embeddings take it: stddev 1 in PyTorch, 0.02 in GPT and BERT.

    Args:
        stddev: at least 0.

    Peers: default as jax.nn; PyTorch's std is 1, Keras's stddev 0.05.

    Raises:
        InputError: stddev is negative.
    """
    check_range("normal", "stddev", stddev, 0)
    return lambda key, shape, dtype: jax.random.normal(key, shape, dtype) * jnp.asarray(stddev, dtype)


def _cut(numbers: Any, lower: Any, upper: Any) -> tuple[Any, Any, Any]:
    """Where the cut normal is: its likeliest point m, and ends less m, beyond which the density is below exp(-40).

    `numbers` is numpy or jax.numpy. Taken from m on, neither a far tail nor a narrow cut loses its digits.
    """
    mode = numbers.minimum(numbers.maximum(lower, 0), upper)
    reach = 80 / (abs(mode) + numbers.sqrt(mode * mode + 80))
    return mode, numbers.maximum(lower - mode, -reach), numbers.minimum(upper - mode, reach)


def _cut_deviation(lower: Any, upper: Any) -> Any:
    """Standard deviation of a standard normal cut to [lower, upper], by Gauss and Legendre's rule."""
    nodes, weights = np.polynomial.legendre.leggauss(128)
    numbers = jnp
    if is_concrete(lower) and is_concrete(upper):
        numbers, lower, upper = np, np.float64(lower), np.float64(upper)
    else:
        lower, upper = jnp.asarray(lower, jnp.float32), jnp.asarray(upper, jnp.float32)
        nodes, weights = nodes.astype(np.float32), weights.astype(np.float32)
    mode, low, high = _cut(numbers, lower, upper)
    half = (high - low) / 2
    off = half * nodes + (low + half)
    heights = weights * numbers.exp(-off * (off / 2 + mode))
    share = heights / numbers.sum(heights)
    centre = numbers.sum(share * nodes)
    return half * numbers.sqrt(numbers.sum(share * (nodes - centre) ** 2))


def _is_ordinary(numbers: Any, lower: Any, upper: Any) -> Any:
    """Whether the distribution function of the normal tells the numbers of the cut apart in float32."""
    mode = numbers.minimum(numbers.maximum(lower, 0), upper)
    return (abs(mode) < 3) & (upper - lower > 0.05)


def _draw_from_table(key: Key, low: Array, high: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of the cut normal's own distribution function, summed up at 2,048 places."""
    mode, first, last = _cut(jnp, low, high)
    off = first + (last - first) * jnp.linspace(0, 1, 2048, dtype=low.dtype)
    heights = jnp.exp(-off * (off / 2 + mode))
    through = jnp.concatenate([jnp.zeros_like(heights[:1]), jnp.cumsum((heights[1:] + heights[:-1]) / 2)])
    found = jnp.interp(jax.random.uniform(key, shape, low.dtype) * through[-1], through, off)
    return jnp.clip(mode + found, low, high)


@factory(Initializer)
def truncated_normal(stddev: Scalar = 0.01, *, lower: Scalar = -2.0, upper: Scalar = 2.0, corrected: bool = False):
    """w = stddev z, z ~ N(0, 1) cut to [lower, upper]; corrected: z / sd(z), so that stddev is the sample's own.

    Uncorrected, a cut at two deviations leaves the sample 0.8796 stddev.

    Args:
        stddev: at least 0.
        lower, upper: bounds of z, in deviations.
        corrected: whether to divide by the standard deviation of the cut normal (0.8796 at +-2).

    Peers: uncorrected as jax.nn, Keras (stddev 0.05) and PyTorch (std 1), whose a and b are bounds of w and not of z.

    Raises:
        InputError: stddev is negative, or lower is not below upper.
    """
    check_range("truncated_normal", "stddev", stddev, 0)
    check_range("truncated_normal", "lower", lower)
    low = float(lower) if is_concrete(lower) and np.ndim(lower) == 0 else None
    check_range("truncated_normal", "upper", upper, low, open_low=True)

    def draw(key, shape, dtype):
        low, high = jnp.asarray(lower, dtype), jnp.asarray(upper, dtype)
        scale = jnp.asarray(stddev, dtype)
        if corrected:
            scale = scale / jnp.asarray(_cut_deviation(lower, upper), dtype)
        if is_concrete(lower) and is_concrete(upper):
            known = bool(_is_ordinary(np, np.float64(lower), np.float64(upper)))
            drawn = jax.random.truncated_normal(key, low, high, shape, dtype) if known else (
                _draw_from_table(key, low, high, shape)
            )  # fmt: skip
            return drawn * scale
        ordinary = _is_ordinary(jnp, low, high)
        drawn = jax.random.truncated_normal(
            key, jnp.where(ordinary, low, -1), jnp.where(ordinary, high, 1), shape, dtype
        )
        return jnp.where(ordinary, drawn, _draw_from_table(key, low, high, shape)) * scale

    return draw


@factory(Initializer)
def uniform(low: Scalar = -0.05, high: Scalar = 0.05):
    """w ~ U[low, high), of variance (high - low)^2 / 12.

    Args:
        low, high: bounds.

    Peers: bounds as Keras; jax.nn draws from [0, 0.01), PyTorch from [0, 1).

    Raises:
        InputError: low is not below high.
    """
    check_range("uniform", "low", low)
    bound = float(low) if is_concrete(low) and np.ndim(low) == 0 else None
    check_range("uniform", "high", high, bound, open_low=True)
    return lambda key, shape, dtype: jax.random.uniform(
        key, shape, dtype, jnp.asarray(low, dtype), jnp.asarray(high, dtype)
    )

"""Distributions that do not depend on the fans: constants, normal and uniform draws."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import check_range, fail, is_concrete
from jaxann.core.factories import factory
from jaxann.core.products import Initializer
from jaxann.core.typing import Array, Scalar

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
    check_range("constant", "value", value)

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


def _cut_deviation(lower: Any, upper: Any) -> Any:
    """Standard deviation of a standard normal cut to [lower, upper]."""
    if is_concrete(lower) and is_concrete(upper):
        low, high = float(lower), float(upper)
        p, q = (math.exp(-0.5 * v * v) / math.sqrt(2 * math.pi) for v in (low, high))
        mass = 0.5 * (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)))
        return math.sqrt(1 + (low * p - high * q) / mass - ((p - q) / mass) ** 2)
    low, high = jnp.asarray(lower, jnp.float32), jnp.asarray(upper, jnp.float32)
    p, q = jax.scipy.stats.norm.pdf(low), jax.scipy.stats.norm.pdf(high)
    mass = jax.scipy.stats.norm.cdf(high) - jax.scipy.stats.norm.cdf(low)
    return jnp.sqrt(1 + (low * p - high * q) / mass - ((p - q) / mass) ** 2)


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
        return jax.random.truncated_normal(key, low, high, shape, dtype) * scale

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

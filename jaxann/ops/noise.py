"""Gaussian noise, added and multiplied."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Scalar

__all__ = ["gaussian_dropout", "gaussian_noise"]


def gaussian_noise(x: Array, key: Key, stddev: Scalar) -> Array:
    """y = x + n, n ~ N(0, stddev^2).

    Args:
        x: any shape.
        key: one key a call.
        stddev: at least 0.

    Peers: as Keras' GaussianNoise; PyTorch has none by that name.

    Source: Bishop 1995.
    """
    wide = wide_dtype(x.dtype)
    noise = jax.random.normal(key, x.shape, wide)
    return (x.astype(wide) + jnp.asarray(stddev, wide) * noise).astype(x.dtype)


def gaussian_dropout(x: Array, key: Key, rate: Scalar) -> Array:
    """y = x n, n ~ N(1, rate / (1 - rate)): the mean and variance of dropout, and nothing is 0.

    Args:
        x: any shape.
        key: one key a call.
        rate: that of the dropout it stands for, in [0, 1); at 1 the result is 0, as dropout's.

    Peers: as Keras' GaussianDropout; PyTorch has none by that name.

    Source: Srivastava et al. 2014.
    """
    wide = wide_dtype(x.dtype)
    rate = jnp.asarray(rate, wide)
    some = (rate > 0) & (rate < 1)
    safe = jnp.where(some, rate, 0.5)
    stddev = jnp.where(some, jnp.sqrt(safe / (1 - safe)), 0)  # the slope of sqrt at 0 is infinite
    noise = 1 + stddev * jax.random.normal(key, x.shape, wide)
    return (x.astype(wide) * jnp.where(rate < 1, noise, 0)).astype(x.dtype)

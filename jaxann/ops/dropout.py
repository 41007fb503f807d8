"""Dropout."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Scalar
from jaxann.ops.random import keep_mask

__all__ = ["dropout"]


def dropout(x: Array, key: Key, rate: Scalar) -> Array:
    """y = x m / (1 - rate), m = 1 with probability 1 - rate: inverted dropout, E[y] = x.

    Args:
        x: any shape.
        key: one key a call.
        rate: the probability of *dropping*, in [0, 1]; at 1 the result is 0. Some texts call the probability of
            keeping p.

    Source: Srivastava et al. 2014.
    """
    rate = jnp.asarray(rate, wide_dtype(x.dtype))
    scale = jnp.where(rate < 1, 1 / jnp.where(rate < 1, 1 - rate, 1), 0)
    return jnp.where(keep_mask(key, rate, x.shape), x * scale.astype(x.dtype), jnp.zeros((), x.dtype))

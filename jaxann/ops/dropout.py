"""Dropout and its kin: what is dropped, and what keeps the mean (and the variance) as it was."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Key, Scalar
from jaxann.ops.random import keep_mask

__all__ = ["alpha_dropout", "drop_block", "dropout", "spatial_dropout", "stochastic_depth"]

# -lambda alpha of the self-normalizing unit: its value at minus infinity.
_SATURATED = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


def dropout(x: Array, key: Key, rate: Scalar) -> Array:
    """y = x m / (1 - rate), m = 1 with probability 1 - rate: inverted dropout, E[y] = x.

    Args:
        x: any shape.
        key: one key a call.
        rate: the probability of *dropping*, in [0, 1]; at 1 the result is 0. Some texts call the probability of
            keeping p.

    Peers: as PyTorch's dropout and Keras' Dropout; the mask is another for the same key or seed.

    Source: Srivastava et al. 2014.
    """
    return _kept(x, keep_mask(key, rate, x.shape), rate)


def spatial_dropout(x: Array, key: Key, rate: Scalar) -> Array:
    """y = x m / (1 - rate), one m for each example and channel: whole feature maps are dropped.

    Args:
        x: `(batch, ..., channels)`.
        key: one key a call.
        rate: the probability of dropping, in [0, 1].

    Peers: as Keras' SpatialDropout1D, 2D and 3D, and PyTorch's Dropout2d on channels-first arrays.

    Source: Tompson et al. 2015.
    """
    shape = (x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])
    return _kept(x, jnp.broadcast_to(keep_mask(key, rate, shape), x.shape), rate)


def stochastic_depth(x: Array, key: Key, rate: Scalar) -> Array:
    """y = x b / (1 - rate), one b for each example: the branch is there, or it is not.

    Args:
        x: `(batch, ...)`, the output of a residual branch before it is added.
        key: one key a call.
        rate: the probability of dropping, in [0, 1].

    Peers: PyTorch, Keras and optax have none.

    Source: Huang et al. 2016.
    """
    shape = (*x.shape[:1], *(1,) * (x.ndim - 1))
    return _kept(x, jnp.broadcast_to(keep_mask(key, rate, shape), x.shape), rate)


def alpha_dropout(x: Array, key: Key, rate: Scalar) -> Array:
    """y = a (x m + s (1 - m)) + b, s = -1.7581, q = 1 - rate: a = (q + s^2 q (1 - q))^-1/2, b = -a (1 - q) s.

    What is dropped takes the value of a saturated `selu`, and the line a, b restores mean 0 and variance 1.

    Args:
        x: any shape, of mean 0 and variance 1.
        key: one key a call.
        rate: the probability of dropping, in [0, 1]; at 1 the result is 0.

    Peers: as PyTorch's AlphaDropout and Keras' AlphaDropout.

    Source: Klambauer et al. 2017.
    """
    wide = wide_dtype(x.dtype)
    rate, s = jnp.asarray(rate, wide), jnp.asarray(_SATURATED, wide)
    some = rate < 1
    q = jnp.where(some, 1 - rate, 1)
    a = jnp.where(some, lax.rsqrt(q + s * s * q * (1 - q)), 0)
    b = -a * rate * s
    y = a * jnp.where(keep_mask(key, rate, x.shape), x.astype(wide), s) + b
    return y.astype(x.dtype)


def drop_block(x: Array, key: Key, rate: Scalar, block: int, real: Array | None = None) -> Array:
    """y = x m n / sum(m), m = 0 on block x block squares whose corners are drawn with probability
    rate h w / (block^2 (h - block + 1) (w - block + 1)), n the number of real places, and the sum over them.

    Args:
        x: `(batch, h, w, channels)`; each example and channel has squares of its own.
        key: one key a call.
        rate: about the share of what is dropped, in [0, 1]; less is dropped where squares overlap.
        block: side of the squares, at most h and w.
        real: `(batch,)` or `(batch, h)`, 0 for padding; None where there is none.

    Peers: PyTorch and Keras have none.

    Source: Ghiasi et al. 2018.
    """
    batch, height, width, channels = x.shape
    wide = wide_dtype(x.dtype)
    rows, columns = height - block + 1, width - block + 1
    chance = jnp.asarray(rate, wide) * (height * width / (block * block * rows * columns))
    corners = ~keep_mask(key, chance, (batch, rows, columns, channels))
    reach = (1, block, block, 1)
    edge = block - 1
    padding = ((0, 0), (edge, edge), (edge, edge), (0, 0))
    dropped = lax.reduce_window(corners.astype(jnp.float32), -jnp.inf, lax.max, reach, (1, 1, 1, 1), padding) > 0
    counts = jnp.asarray(True) if real is None else lax.expand_dims(real.astype(bool), range(real.ndim, 4))
    counts = jnp.broadcast_to(counts, x.shape)
    scale = jnp.sum(counts, dtype=wide) / jnp.maximum(jnp.sum(counts & ~dropped, dtype=wide), 1)
    return jnp.where(dropped, jnp.zeros((), x.dtype), _scaled(x, scale))


def _kept(x: Array, mask: Array, rate: Scalar) -> Array:
    """x / (1 - rate) where the mask is True, else 0."""
    rate = jnp.asarray(rate, wide_dtype(x.dtype))
    scale = jnp.where(rate < 1, 1 / jnp.where(rate < 1, 1 - rate, 1), 0)
    return jnp.where(mask, _scaled(x, scale), jnp.zeros((), x.dtype))


def _scaled(x: Array, scale: Array) -> Array:
    """x scale, rounded once: a scale of 16 bits would move the mean. What is too great for float16 is its greatest."""
    y = (x.astype(scale.dtype) * scale).astype(x.dtype)
    if x.dtype != jnp.float16:
        return y
    limit = jnp.finfo(x.dtype).max
    return jnp.where(jnp.isinf(x), x, jnp.clip(y, -limit, limit))

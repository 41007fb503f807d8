"""Changes of one picture `(height, width, channels)` by its values or their histogram: the rest of RandAugment's list.

Values are in [0, 1]; those that need levels take whole numbers in 0..255. Each is Pillow's of the same name.
"""

from __future__ import annotations

import jax.numpy as jnp

from jaxann.core.typing import Array

__all__ = ["auto_contrast", "blurred", "equalize", "posterize", "solarize"]

_LEVELS = 256


def auto_contrast(x: Array) -> Array:
    """Each channel stretched to [0, 1], its darkest pixel at 0, its brightest at 1; one of a single value stays."""
    low, high = jnp.min(x, (0, 1), keepdims=True), jnp.max(x, (0, 1), keepdims=True)
    low, length = jnp.broadcast_to(low, x.shape), jnp.broadcast_to(high - low, x.shape)
    return jnp.where(length > 0, (x - low) / jnp.where(length > 0, length, 1), x)


def solarize(x: Array, strength: Array) -> Array:
    """1 - x where x is at least the threshold 256 / 255 (1 - strength): nothing at strength 0, everything at 1."""
    return jnp.where(255 * x >= 256 * (1 - strength), 1 - x, x)


def posterize(levels: Array, bits: Array) -> Array:
    """Levels without their lowest `bits` bits, over 255."""
    step = jnp.left_shift(1, bits.astype(jnp.int32))
    return (levels - jnp.mod(levels, step)).astype(jnp.float32) / 255


def equalize(levels: Array) -> Array:
    """Levels by the share of the pixels of their channel that are darker, over 255, so that all are about as frequent.

    With n_v pixels of level v and step = (all - those of the brightest level that there is) // 255, level v becomes
    (step // 2 + sum of n_u over u < v) // step; a channel stays whose step is 0.
    """
    height, width, channels = levels.shape
    total = height * width
    place = levels + jnp.broadcast_to(jnp.arange(channels, dtype=jnp.int32) * _LEVELS, levels.shape)
    counts = jnp.zeros(channels * _LEVELS, jnp.int32).at[place.reshape(-1)].add(1, mode="promise_in_bounds")
    counts = counts.reshape(channels, _LEVELS)
    brightest = jnp.sum(jnp.where(_last(counts), counts, 0), 1, keepdims=True)
    step = jnp.broadcast_to((total - brightest) // (_LEVELS - 1), counts.shape)
    darker = jnp.cumsum(counts, 1) - counts
    table = jnp.minimum((step // 2 + darker) // jnp.maximum(step, 1), _LEVELS - 1)
    own = jnp.broadcast_to(jnp.arange(_LEVELS, dtype=jnp.int32), table.shape)
    table = jnp.where(step > 0, table, own).reshape(-1)
    return jnp.take(table, place, mode="clip").astype(jnp.float32) / 255


def _last(counts: Array) -> Array:
    """Where the last level stands that there is, in each row."""
    level = jnp.broadcast_to(jnp.arange(_LEVELS, dtype=jnp.int32), counts.shape)
    last = jnp.max(jnp.where(counts > 0, level, 0), 1, keepdims=True)
    return level == jnp.broadcast_to(last, counts.shape)


def blurred(x: Array) -> Array:
    """The mean of 3 x 3 pixels with weight 5 in the middle, over 13; the border as it is."""
    height, width, _ = x.shape
    if min(height, width) < 3:
        return x
    around = jnp.pad(x, ((1, 1), (1, 1), (0, 0)))
    rows = around[:-2] + around[1:-1] + around[2:]
    mean = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * x) / 13
    row, column = (jnp.arange(size, dtype=jnp.int32) for size in (height, width))
    inner = jnp.expand_dims((row > 0) & (row < height - 1), (1, 2)) & jnp.expand_dims(
        (column > 0) & (column < width - 1), (0, 2)
    )
    return jnp.where(jnp.broadcast_to(inner, x.shape), mean, x)

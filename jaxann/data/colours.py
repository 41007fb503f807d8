"""Colours of one picture `(height, width, channels)` of values in [0, 1], changed and cut to [0, 1]. No randomness."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxann.core.typing import Array

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "blended",
    "grey_of",
    "mean_grey_of",
]

_LUMA = np.array([0.299, 0.587, 0.114])


def grey_of(x: Array) -> Array:
    """`(height, width, channels)`, each pixel's grey in all channels."""
    if x.shape[-1] == 3:
        grey = sum(float(share) * x[..., n : n + 1] for n, share in enumerate(_LUMA))
    else:
        grey = jnp.mean(x, -1, keepdims=True)
    return jnp.broadcast_to(jnp.asarray(grey), x.shape)


def mean_grey_of(x: Array) -> Array:
    """The mean of the grey over all pixels."""
    return jnp.mean(grey_of(x))


def blended(base: Array, x: Array, factor: Array) -> Array:
    """base + factor (x - base), cut to [0, 1]; x itself at factor 1."""
    base, factor = (jnp.broadcast_to(a.astype(x.dtype), x.shape) for a in (base, factor))
    return jnp.clip(jnp.where(factor == 1, x, base + factor * (x - base)), 0, 1)


def adjust_brightness(x: Array, factor: Array) -> Array:
    """0 is black, 1 as it is."""
    return blended(jnp.zeros((), x.dtype), x, factor)


def adjust_contrast(x: Array, factor: Array) -> Array:
    """0 is the mean grey everywhere, 1 as it is."""
    return blended(mean_grey_of(x), x, factor)


def adjust_saturation(x: Array, factor: Array) -> Array:
    """0 is each pixel's grey, 1 as it is."""
    return blended(grey_of(x), x, factor)


def adjust_hue(x: Array, shift: Array) -> Array:
    """The hue of HSV moved on by `shift` of the circle: value and saturation stay.

    With hue h in sixths, value v and chroma c, each channel is v - c max(0, min(k, 4 - k, 1)), k = n + h modulo 6,
    n = 5 for red, 3 for green, 1 for blue.
    """
    red, green, blue = (x[..., n] for n in range(3))
    value, chroma = jnp.max(x, -1), jnp.max(x, -1) - jnp.min(x, -1)
    some = jnp.where(chroma > 0, chroma, 1)
    # Which is the greatest is asked by order: XLA may round the same channel differently in two places.
    sixth = jnp.where(
        (red >= green) & (red >= blue),
        (green - blue) / some,
        jnp.where(green >= blue, 2 + (blue - red) / some, 4 + (red - green) / some),
    )
    sixth = sixth + 6 * shift.astype(x.dtype)

    def channel(number: int) -> Array:
        k = number + sixth
        k = k - 6 * jnp.floor(k / 6)
        return value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)

    return jnp.clip(jnp.stack([channel(5), channel(3), channel(1)], -1), 0, 1)

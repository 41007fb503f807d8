"""The forms in which a convolution and its gradients are compiled for a CPU, chosen by shape.

XLA's own convolution is as fast as any with many channels and slow with few: of images with one to four channels (the
first layer of a net) each window has so few numbers that the loops around them are what takes the time. There the
windows are laid out as rows of one matrix, and the convolution is one product: 4 times as fast for 64 images of
28 x 28 x 1 and 32 outputs, 3 times for 32 x 32 x 3 and 16. With 16 channels the matrix no longer fits into the cache,
and XLA's form is the faster one. Equal in value to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = ["convolve_on_cpu"]

_FEW = 4  # channels up to which windows are laid out
_MOST = 2**24  # numbers in the matrix of windows up to which that pays


def convolve_on_cpu(x: Array, weight: Array, geometry: Any, by_xla: Callable[..., Array]) -> Array:
    """z = C(x, w), as one product where the channels are few and the windows not too many."""
    windows, places, groups = geometry
    size = x.shape[0] * math.prod(windows.count(places)) * math.prod(windows.size) * x.shape[-1]
    if groups == 1 and 0 < x.shape[-1] <= _FEW and size <= _MOST:
        rows = _laid_out(x, geometry)
        flat = rows.reshape(-1, rows.shape[-1])
        z = lax.dot(flat, weight.reshape(-1, weight.shape[-1]), preferred_element_type=wide_dtype(x.dtype))
        return z.reshape(*rows.shape[:-1], -1).astype(x.dtype)
    return by_xla(x, weight, geometry=geometry)


def _laid_out(x: Array, geometry: Any) -> Array:
    """What each window holds, `(batch, *positions, prod(size) channels)`, its places by rows."""
    windows, places, _ = geometry
    counts = windows.count(places)
    pads = [(0, 0, 0), *((low, high, 0) for low, high in windows.pads), (0, 0, 0)]
    padded = lax.pad(x, jnp.zeros((), x.dtype), pads)
    spans = [(count - 1) * stride + 1 for count, stride in zip(counts, windows.stride, strict=True)]
    seen = []
    for place in np.ndindex(*windows.size):
        start = [q * d for q, d in zip(place, windows.dilation, strict=True)]
        stop = [s + span for s, span in zip(start, spans, strict=True)]
        seen.append(lax.slice(padded, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *windows.stride, 1)))
    return jnp.concatenate(seen, -1)

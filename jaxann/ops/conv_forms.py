"""The forms in which a convolution and its gradients are compiled for a CPU, chosen by shape.

XLA's own convolution is as fast as any with many channels and slow with few: each window then has so few numbers, and
gives so few, that the loops around the products are what takes the time. Two other ways to write it down help.

- **Runs.** t windows side by side along the last axis, together k + s (t - 1) places wide, are one wider window with t
  times the outputs: z = C(x, w) with fewer, larger products. The kernel of the run holds the kernel t times, each
  moved by s places, and zeros beside it; its outputs lie in memory as those of the t windows, so nothing is moved. Of
  what is multiplied (k + s (t - 1)) / k is needed, and that pays while channels are few.
- **Rows.** Of one to four channels the windows, or runs, are laid out as rows of one matrix, and the convolution is one
  product.

The input gradient of windows that move by one place is a convolution with the kernel turned around, and takes the same
forms. Equal in value to rounding. `benchmarks conv` has the figures.
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
from jaxann.ops.once import computed_once

__all__ = ["convolve_on_cpu", "input_gradient_on_cpu", "run_for", "weight_gradient_on_cpu"]

_FEW = 4  # channels up to which windows are laid out as rows
_MOST = 2**24  # numbers in the matrix of rows up to which that pays

Form = Callable[..., Array]


def convolve_on_cpu(x: Array, weight: Array, geometry: Any, by_xla: Form) -> Array:
    """z = C(x, w), in the form that is fastest for its shape. What it reads is there once, for its gradients too."""
    return _convolved(computed_once(x), weight, geometry, by_xla)


def _convolved(x: Array, weight: Array, geometry: Any, by_xla: Form) -> Array:
    run = run_for(x.shape[-1], weight.shape[-1], geometry)
    count = geometry.windows.count(geometry.places)[-1]
    if run > 1:
        weight, geometry = _runs(weight, geometry, run)
    if geometry.groups == 1 and 0 < x.shape[-1] <= _FEW and _row_numbers(x, geometry) <= _MOST:
        rows = _laid_out(x, geometry)
        flat = rows.reshape(-1, rows.shape[-1])
        z = lax.dot(flat, weight.reshape(-1, weight.shape[-1]), preferred_element_type=wide_dtype(x.dtype))
        z = z.reshape(*rows.shape[:-1], -1).astype(x.dtype)
    else:
        z = by_xla(x, weight, geometry=geometry)
    return z if run == 1 else _apart(z, run, count)


def input_gradient_on_cpu(delta: Array, weight: Array, geometry: Any, by_xla: Form, convolve_by_xla: Form) -> Array:
    """dx = X(dz, w): a convolution of dz with the kernel turned around where the windows move by one place."""
    windows, places, groups = geometry
    delta = computed_once(delta)
    if groups > 1 or any(stride > 1 for stride in windows.stride) or 0 in delta.shape:
        return by_xla(delta, weight, geometry=geometry)
    rank, counts = len(places), delta.shape[1:-1]
    pads = []
    for n, m, reach, (low, _) in zip(places, counts, windows.reach, windows.pads, strict=True):
        pads.append((reach - 1 - low, n - m + low))
    turned = jnp.swapaxes(jnp.flip(weight, range(rank)), -1, -2)
    back = geometry._replace(windows=windows._replace(pads=tuple(pads)), places=tuple(counts))
    return _convolved(delta, turned, back, convolve_by_xla)


def weight_gradient_on_cpu(x: Array, delta: Array, geometry: Any, by_xla: Form) -> Array:
    """dw = W(x, dz) as a convolution of x over the examples, all arrays laid out as XLA's CPU convolution has them."""
    windows, places, groups = geometry
    rank, inner, axes = len(places), x.shape[-1] // groups, range(1, len(places) + 1)
    x, delta = computed_once(x), computed_once(delta)
    x = x.reshape(*x.shape[:-1], groups, inner)
    x = jnp.transpose(x, (rank + 2, *axes, rank + 1, 0)).reshape(inner, *places, -1)  # features: examples of a group
    kernel = jnp.transpose(delta, (*axes, 0, rank + 1))
    pads = []
    for n, m, reach, stride, (low, _) in zip(
        places, delta.shape[1:-1], windows.reach, windows.stride, windows.pads, strict=True
    ):
        pads.append((low, reach - 1 + (m - 1) * stride + 1 - n - low))
    last = rank + 1
    numbers = lax.ConvDimensionNumbers((0, last, *axes), (last, rank, *range(rank)), (0, last, *axes))
    found = lax.conv_general_dilated(
        x, kernel, dimension_numbers=numbers, window_strides=windows.dilation, padding=pads,
        rhs_dilation=windows.stride, feature_group_count=groups, preferred_element_type=wide_dtype(x.dtype),
    )  # fmt: skip
    return jnp.transpose(found.astype(x.dtype), (*axes, 0, last))


def run_for(channels: int, filters: int, geometry: Any) -> int:
    """How many windows are taken together."""
    windows = geometry.windows
    if geometry.groups > 1 or windows.dilation[-1] > 1 or windows.size[-1] == 1:
        return 1
    if channels <= _FEW:
        run = 4 if filters <= 32 else 2
    else:
        run = 2 if channels <= 16 and filters <= 16 else 1
    return min(run, windows.count(geometry.places)[-1])


def _row_numbers(x: Array, geometry: Any) -> int:
    windows, places, _ = geometry
    return x.shape[0] * math.prod(windows.count(places)) * math.prod(windows.size) * x.shape[-1]


def _runs(weight: Array, geometry: Any, run: int) -> tuple[Array, Any]:
    """Kernel and geometry of windows taken together along the last axis, `run` at a time."""
    windows, places, _ = geometry
    stride, low = windows.stride[-1], windows.pads[-1][0]
    more, axis = stride * (run - 1), weight.ndim - 3
    size = windows.size[-1] + more
    number = -(-windows.count(places)[-1] // run)
    high = (number - 1) * run * stride + size - places[-1] - low
    copies = []
    for i in range(run):
        pads = [(0, 0, 0)] * weight.ndim
        pads[axis] = (i * stride, more - i * stride, 0)
        copies.append(lax.pad(weight, jnp.zeros((), weight.dtype), pads))
    wide = jnp.concatenate(copies, -1)
    wider = windows._replace(
        size=(*windows.size[:-1], size),
        stride=(*windows.stride[:-1], run * stride),
        pads=(*windows.pads[:-1], (low, high)),
    )
    return wide, geometry._replace(windows=wider)


def _apart(z: Array, run: int, count: int) -> Array:
    """The outputs of runs as those of their windows."""
    z = z.reshape(*z.shape[:-2], z.shape[-2] * run, z.shape[-1] // run)
    return z if z.shape[-2] == count else lax.slice_in_dim(z, 0, count, axis=z.ndim - 2)


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

"""Pooling: one number for each window and channel.

XLA's windowed reductions and their gradients are slow on a CPU (that of a maximum scatters number by number), so
windows are taken as slices here, one axis after the other: a window of 3 x 3 takes 3 + 3 of them. Of equal maxima the
first of a window, by rows, has the slope, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_choice, check_floating, check_range, fail
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Scalar
from jaxann.ops.windows import Padding, Windows, as_axes, as_windows, positions

__all__ = ["adaptive_pool", "avg_pool", "lp_pool", "max_pool", "mean_of_places", "windows_of"]


def max_pool(
    x: Array,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "valid",
    dilation: int | Sequence[int] = 1,
) -> Array:
    """y[n, p, c] = the greatest x[n, s p + d q - low, c] of each window; padded places are -inf.

    Args:
        x: `(batch, *places, channels)`.
        window: places along each axis, or along all.
        stride: places from one window to the next; the window's own when None.
        padding, dilation: as of `conv`.

    Returns:
        `(batch, *positions, channels)`; NaN where a window holds one.

    Raises:
        InputError: an argument is wrong, or no window fits into x.
    """
    windows = windows_of("max_pool", x, window, stride, padding, dilation)
    return _reduced(x, windows, -jnp.inf, _greater)


def avg_pool(
    x: Array,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "valid",
    count_padding: bool = True,
) -> Array:
    """y[n, p, c] = the mean of each window.

    Args:
        x, window, stride, padding: as of `max_pool`.
        count_padding: whether padded places count as 0; else the mean is over real ones.

    Returns:
        `(batch, *positions, channels)`, summed in float32 or better.

    Raises:
        InputError: an argument is wrong, or no window fits into x.
    """
    windows = windows_of("avg_pool", x, window, stride, padding, 1)
    total = _sums(x, windows)
    if count_padding:
        whole = 1
        for size in windows.size:
            whole *= size
        return (total / whole).astype(x.dtype)
    real = _sums(jnp.ones((1, *x.shape[1:-1], 1), total.dtype), windows)
    return (total / jnp.broadcast_to(jnp.maximum(real, 1), total.shape)).astype(x.dtype)


def lp_pool(
    x: Array,
    p: Scalar,
    window: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Padding = "valid",
) -> Array:
    """y[n, q, c] = (sum of |x|^p over each window)^(1/p); a window of zeros has the slope 0.

    Args:
        x, window, stride, padding: as of `max_pool`; padded places are 0.
        p: at least 1.

    Returns:
        `(batch, *positions, channels)`.

    Peers: PyTorch's LPPool1d, 2d, 3d, which take x^p and not |x|^p: the same for an even p.

    Raises:
        InputError: an argument is wrong, or no window fits into x.
    """
    check_range("lp_pool", "p", p, 1)
    windows = windows_of("lp_pool", x, window, stride, padding, 1)
    wide = wide_dtype(x.dtype)
    size = jnp.abs(x.astype(wide))
    greatest = lax.stop_gradient(jnp.max(size, tuple(range(1, x.ndim)), keepdims=True))  # so that no power overflows
    scale = jnp.where((greatest > 0) & (greatest < jnp.inf), greatest, 1)
    total = _sums(_power(size / jnp.broadcast_to(scale, x.shape), p), windows)
    some = total > 0
    y = jnp.where(some, jnp.exp(jnp.log(jnp.where(some, total, 1)) / jnp.asarray(p, wide)), total)
    return (y * jnp.broadcast_to(scale, y.shape)).astype(x.dtype)


def adaptive_pool(x: Array, sizes: int | Sequence[int], kind: str) -> Array:
    """As many windows along each axis as asked for: window i of m over n places goes from floor(i n / m) to
    ceil((i + 1) n / m).

    Args:
        x: `(batch, *places, channels)`.
        sizes: m for each axis, or for all.
        kind: "max" or "avg".

    Returns:
        `(batch, *sizes, channels)`.

    Peers: PyTorch's AdaptiveAvgPool2d and AdaptiveMaxPool2d.

    Raises:
        InputError: sizes are no positive integers, one for each axis, the kind is unknown, or x has no axis of places.
    """
    check_floating("adaptive_pool", "x", x)
    check_choice("adaptive_pool", "kind", kind, ("avg", "max"))
    if x.ndim < 3:
        fail("adaptive_pool", "x", "of shape (batch, *places, channels)", f" shape {x.shape}")
    wanted = as_axes("adaptive_pool", "sizes", sizes, x.ndim - 2)
    y = x.astype(wide_dtype(x.dtype)) if kind == "avg" else x
    for axis, (n, m) in enumerate(zip(x.shape[1:-1], wanted, strict=True), start=1):
        if n % m == 0:
            split = y.reshape(*y.shape[:axis], m, n // m, *y.shape[axis + 1 :])
            pieces = [lax.index_in_dim(split, i, axis + 1, keepdims=False) for i in range(n // m)]
            y = _folded(pieces, _greater if kind == "max" else jnp.add)
            y = y if kind == "max" else y / (n // m)
            continue
        ends = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        found = []
        for low, high in ends:
            each = [lax.slice_in_dim(y, i, i + 1, axis=axis) for i in range(low, high)]
            piece = _folded(each, _greater if kind == "max" else jnp.add)
            found.append(piece if kind == "max" else piece / (high - low))
        y = jnp.concatenate(found, axis)
    return y.astype(x.dtype)


def mean_of_places(x: Array, mask: Array | None = None) -> Array:
    """The mean over all places of each channel, in float32 or better.

    Args:
        x: `(batch, *places, channels)`.
        mask: `(batch, time)`, 0 for a place along the first axis that does not count.

    Returns:
        `(batch, channels)`; 0 where no place counts.
    """
    axes, wide = tuple(range(1, x.ndim - 1)), x.astype(wide_dtype(x.dtype))
    if mask is None:
        return jnp.mean(wide, axes)
    real = jnp.broadcast_to(lax.expand_dims(mask.astype(bool), range(2, x.ndim)), x.shape)
    count = jnp.sum(real, axes, dtype=wide.dtype)
    return jnp.sum(jnp.where(real, wide, 0), axes) / jnp.maximum(count, 1)


def windows_of(function: str, x: Array, window: object, stride: object, padding: object, dilation: object) -> Windows:
    """The windows of a pool, which all hold a real place.

    Raises:
        InputError: an argument is wrong, or no window fits into x.
    """
    check_floating(function, "x", x)
    if x.ndim < 3:
        fail(function, "x", "of shape (batch, *places, channels)", f" shape {x.shape}")
    size = as_axes(function, "window", window, x.ndim - 2)
    windows = as_windows(function, x.shape[1:-1], size, stride=size if stride is None else stride, padding=padding,
                         dilation=dilation)  # fmt: skip
    positions(function, windows, x.shape[1:-1])
    for pair, reach in zip(windows.pads, windows.reach, strict=True):
        if max(pair) >= reach:
            fail(function, "padding", f"below the {reach} places of a window, which else holds nothing", pair)
    return windows


def _sums(x: Array, windows: Windows) -> Array:
    return _reduced(x.astype(wide_dtype(x.dtype)), windows, 0, jnp.add)


def _reduced(x: Array, windows: Windows, empty: float, take: Callable[[Array, Array], Array]) -> Array:
    """Each window reduced, the last axis of places first, so that of equals the first by rows is met first."""
    counts = windows.count(x.shape[1:-1])
    for axis in range(x.ndim - 2, 0, -1):
        of = axis - 1
        pads = [(0, 0, 0)] * x.ndim
        pads[axis] = (*windows.pads[of], 0)
        x = lax.pad(x, jnp.asarray(empty, x.dtype), pads)
        span = (counts[of] - 1) * windows.stride[of] + 1
        starts = [q * windows.dilation[of] for q in range(windows.size[of])]
        x = _folded([lax.slice_in_dim(x, s, s + span, windows.stride[of], axis) for s in starts], take)
    return x


def _folded(pieces: Sequence[Array], take: Callable[[Array, Array], Array]) -> Array:
    found = pieces[0]
    for piece in pieces[1:]:
        found = take(found, piece)
    return found


def _greater(found: Array, other: Array) -> Array:
    """The greater one, the first of equals; NaN where either is."""
    return jnp.where((other > found) | (other != other), other, found)


def _power(x: Array, p: Scalar) -> Array:
    """x^p for x >= 0, with the slope 0 at 0."""
    some = x > 0
    return jnp.where(some, jnp.exp(jnp.asarray(p, x.dtype) * jnp.log(jnp.where(some, x, 1))), jnp.where(x == 0, 0, x))

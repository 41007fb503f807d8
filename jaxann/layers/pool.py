"""Pooling layers: one number for each window, or for all places, of each channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxann import ops
from jaxann.core.checks import check_choice, check_floating, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Array, Scalar
from jaxann.ops.pool import mean_of_places
from jaxann.ops.windows import as_axes, check_window

__all__ = ["adaptive_pool", "avg_pool", "global_pool", "lp_pool", "max_pool"]


@factory(Layer, static=("window", "stride", "padding", "dilation"))
def max_pool(
    window: int | tuple[int, ...],
    *,
    stride: int | tuple[int, ...] | None = None,
    padding: str | int | tuple = "valid",
    dilation: int | tuple[int, ...] = 1,
):
    """y = the greatest of each window and channel; padded places are -inf. Of equals the first, by rows, has the slope.

    Args:
        window: places along each axis, or along all.
        stride: places from one window to the next; the window's own when None.
        padding, dilation: as of `conv`.

    Input `(batch, *places, channels)`, output `(batch, *positions, channels)`; no parameters.

    Peers: PyTorch's MaxPool1d, 2d, 3d (channels first), Keras' and flax's max_pool.

    Raises:
        InputError: an argument is wrong, x has no axis of places, or no window fits into it.
    """
    check_window("max_pool", window, stride=stride, padding=padding, dilation=dilation)
    settings = {"stride": stride, "padding": padding, "dilation": dilation}
    return _pool("max_pool", lambda x: ops.max_pool(x, window, **settings))


@factory(Layer, static=("window", "stride", "padding"))
def avg_pool(
    window: int | tuple[int, ...],
    *,
    stride: int | tuple[int, ...] | None = None,
    padding: str | int | tuple = "valid",
    count_padding: bool = True,
):
    """y = the mean of each window and channel.

    Args:
        window, stride, padding: as of `max_pool`.
        count_padding: whether padded places count as 0; else the mean is over real ones.

    Input `(batch, *places, channels)`, output `(batch, *positions, channels)`; no parameters.

    Peers: PyTorch's AvgPool1d, 2d, 3d (count_include_pad) and flax's avg_pool count padding, Keras' does not.

    Raises:
        InputError: an argument is wrong, x has no axis of places, or no window fits into it.
    """
    check_window("avg_pool", window, stride=stride, padding=padding)
    settings = {"stride": stride, "padding": padding, "count_padding": count_padding}
    return _pool("avg_pool", lambda x: ops.avg_pool(x, window, **settings))


@factory(Layer, static=("window", "stride", "padding"))
def lp_pool(
    p: Scalar,
    window: int | tuple[int, ...],
    *,
    stride: int | tuple[int, ...] | None = None,
    padding: str | int | tuple = "valid",
):
    """y = (sum of |x|^p over each window)^(1/p); a window of zeros has the slope 0.

    Args:
        p: at least 1.
        window, stride, padding: as of `max_pool`; padded places are 0.

    Input `(batch, *places, channels)`, output `(batch, *positions, channels)`; no parameters.

    Peers: PyTorch's LPPool1d, 2d, 3d take x^p and not |x|^p.

    Raises:
        InputError: an argument is wrong, x has no axis of places, or no window fits into it.
    """
    check_range("lp_pool", "p", p, 1)
    check_window("lp_pool", window, stride=stride, padding=padding)
    return _pool("lp_pool", lambda x: ops.lp_pool(x, p, window, stride=stride, padding=padding))


@factory(Layer, static=("sizes",))
def adaptive_pool(sizes: int | tuple[int, ...], *, kind: str = "avg"):
    """As many windows along each axis as asked for: of m over n places, i goes from floor(i n/m) to ceil((i + 1) n/m).

    Args:
        sizes: m for each axis, or for all.
        kind: "avg" or "max" of each window.

    Input `(batch, *places, channels)`, output `(batch, *sizes, channels)`; no parameters.

    Peers: PyTorch's AdaptiveAvgPool and AdaptiveMaxPool.

    Raises:
        InputError: an argument is wrong, or x has no axis of places.
    """
    check_choice("adaptive_pool", "kind", kind, ("avg", "max"))
    as_axes("adaptive_pool", "sizes", sizes, len(sizes) if isinstance(sizes, tuple) else 1)
    return _pool("adaptive_pool", lambda x: ops.adaptive_pool(x, sizes, kind))


@factory(Layer, traits=("ends_sequence",))
def global_pool(*, kind: str = "avg"):
    """y = the mean, or the greatest, of all places of each channel: `(batch, *places, channels) -> (batch, channels)`.

    Padded positions of a sequence do not count; one of nothing but padding has 0.

    Args:
        kind: "avg" or "max".

    Peers: Keras' GlobalAveragePooling and GlobalMaxPooling.

    Raises:
        InputError: the kind is unknown, or x has no axis of places.
    """
    check_choice("global_pool", "kind", kind, ("avg", "max"))

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        _check("global_pool", x)
        if kind == "avg":
            return mean_of_places(x, sequence_mask).astype(x.dtype), state
        axes = tuple(range(1, x.ndim - 1))
        if sequence_mask is None:
            return jnp.max(x, axes), state
        real = jnp.broadcast_to(lax.expand_dims(sequence_mask.astype(bool), range(2, x.ndim)), x.shape)
        y = jnp.max(jnp.where(real, x, jnp.asarray(-jnp.inf, x.dtype)), axes)
        return jnp.where(jnp.any(real, axes), y, 0), state

    return lambda key, spec: ({}, {}), apply


def _pool(name: str, function: Callable[[Array], Array]) -> tuple[Callable, Callable]:
    """`(init, apply)` of a layer without parameters."""

    def apply(params, state, x, *, key=None, train=False):
        _check(name, x)
        return function(x), state

    return lambda key, spec: ({}, {}), apply


def _check(name: str, x: Any) -> None:
    check_floating(name, "x", x)
    if x.ndim < 3:
        fail(name, "x", "of shape (batch, *places, channels)", f" shape {x.shape}")

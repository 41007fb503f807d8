"""Backward rules of the pooling layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.ops.pool import windows_of
from jaxann.ops.windows import Windows

__all__ = []


def _windows(call: Call) -> Windows:
    arguments = call.layer.arguments
    settings = arguments["window"], arguments["stride"], arguments["padding"], arguments.get("dilation", 1)
    return windows_of(call.layer._factory.short_name, call.x, *settings)


def _slices(x: Array, windows: Windows, empty: float) -> Iterator[tuple[Array, Callable[[Array], Array]]]:
    """What each place of the window sees at all positions, first by rows; and how what it gets is given back."""
    counts = windows.count(x.shape[1:-1])
    pads = [(0, 0, 0), *((low, high, 0) for low, high in windows.pads), (0, 0, 0)]
    padded = lax.pad(x, jnp.asarray(empty, x.dtype), pads)
    strides = (1, *windows.stride, 1)
    for place in np.ndindex(*windows.size):
        start = (0, *(q * d for q, d in zip(place, windows.dilation, strict=True)), 0)
        spans = [(count - 1) * stride + 1 for count, stride in zip(counts, windows.stride, strict=True)]
        stop = (x.shape[0], *(s + span for s, span in zip(start[1:-1], spans, strict=True)), x.shape[-1])

        def back(piece: Array, start: Any = start, stop: Any = stop) -> Array:
            config = [(a, n - b, step - 1) for a, b, n, step in zip(start, stop, padded.shape, strides, strict=True)]
            wide = lax.pad(piece, jnp.zeros((), piece.dtype), config)
            return lax.pad(wide, jnp.zeros((), piece.dtype), [(-low, -high, 0) for low, high, _ in pads])

        yield lax.slice(padded, start, stop, strides), back


@layer_rule(layers.max_pool)
def _max_pool(call: Call) -> Step:
    """y = max over the window:  dC/dx = G at the place that was greatest, the first of equals; 0 elsewhere.

    A small change of any other place changes nothing. Where windows overlap, a place gets the sum over those it won.
    """
    y, state = call.apply()
    windows, x = _windows(call), call.x

    def vjp(g: Array) -> Cotangents:
        taken, below = jnp.zeros(y.shape, bool), jnp.zeros(x.shape, g.dtype)
        for seen, back in _slices(x, windows, -jnp.inf):
            won = (seen == y) & ~taken
            taken, below = taken | won, below + back(jnp.where(won, g, 0))
        return Cotangents(below, {})

    return Step(y, state, vjp)


@layer_rule(layers.avg_pool)
def _avg_pool(call: Call) -> Step:
    """y = sum over the window / n:  dC/dx = the sum of G / n over the windows that hold the place; n counts real places
    alone where padding does not count.
    """
    y, state = call.apply()
    windows, x = _windows(call), call.x
    wide = wide_dtype(x.dtype)

    def vjp(g: Array) -> Cotangents:
        count = jnp.full((1, *y.shape[1:-1], 1), math.prod(windows.size), wide)
        if not call.layer.arguments["count_padding"]:
            ones = jnp.ones((1, *x.shape[1:-1], 1), wide)
            count = jnp.maximum(sum(seen for seen, _ in _slices(ones, windows, 0)), 1)
        each = g.astype(wide) / jnp.broadcast_to(count, g.shape)
        below = sum(back(each) for _, back in _slices(x, windows, 0))
        return Cotangents(jnp.asarray(below).astype(x.dtype), {})

    return Step(y, state, vjp)


@layer_rule(layers.lp_pool)
def _lp_pool(call: Call) -> Step:
    """y = (sum |x|^p)^(1/p):  dC/dx = sum over the windows of G sign(x) (|x| / y)^(p - 1); 0 where y is 0."""
    y, state = call.apply()
    windows, p = _windows(call), call.layer.arguments["p"]
    wide = wide_dtype(call.x.dtype)
    x, top = call.x.astype(wide), y.astype(wide)

    def vjp(g: Array) -> Cotangents:
        below = jnp.zeros(x.shape, wide)
        for seen, back in _slices(x, windows, 0):
            share = jnp.abs(seen) / jnp.where(top == 0, 1, top)
            some = share > 0
            power = jnp.where(some, jnp.exp((jnp.asarray(p, wide) - 1) * jnp.log(jnp.where(some, share, 1))), 0)
            below = below + back(g.astype(wide) * jnp.sign(seen) * power)
        return Cotangents(below.astype(call.x.dtype), {})

    return Step(y, state, vjp)


@layer_rule(layers.adaptive_pool)
def _adaptive_pool(call: Call) -> Step:
    """Windows of unlike sizes, each with its mean or its greatest place: dC/dx as of the pools of like ones.

    The means are taken along one axis after the other, and so is what is given back; of a maximum the first of equals
    along the later axis comes first.
    """
    y, state = call.apply()
    x, kind = call.x, call.layer.arguments["kind"]
    wide = x.astype(wide_dtype(x.dtype)) if kind == "avg" else x
    stages = [wide]
    for axis in range(1, x.ndim - 1):
        stages.append(_along(stages[-1], axis, y.shape[axis], kind))

    def vjp(g: Array) -> Cotangents:
        g = g.astype(wide.dtype)
        for axis in range(x.ndim - 2, 0, -1):
            g = _back_along(stages[axis - 1], stages[axis], g, axis, kind)
        return Cotangents(g.astype(x.dtype), {})

    return Step(y, state, vjp)


def _ends(n: int, m: int) -> list[tuple[int, int]]:
    return [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


def _along(x: Array, axis: int, m: int, kind: str) -> Array:
    take = jnp.mean if kind == "avg" else jnp.max
    pieces = (lax.slice_in_dim(x, a, b, axis=axis) for a, b in _ends(x.shape[axis], m))
    return jnp.concatenate([take(piece, axis, keepdims=True) for piece in pieces], axis)


def _back_along(x: Array, y: Array, g: Array, axis: int, kind: str) -> Array:
    below = jnp.zeros(x.shape, g.dtype)
    n = x.shape[axis]
    for i, (low, high) in enumerate(_ends(n, y.shape[axis])):
        own, best = (lax.slice_in_dim(a, i, i + 1, axis=axis) for a in (g, y))
        taken = jnp.zeros(best.shape, bool)
        for r in range(low, high):
            piece = own / (high - low)
            if kind == "max":
                won = (lax.slice_in_dim(x, r, r + 1, axis=axis) == best) & ~taken
                taken, piece = taken | won, jnp.where(won, own, 0)
            pads = [(0, 0, 0)] * x.ndim
            pads[axis] = (r, n - r - 1, 0)
            below = below + lax.pad(piece, jnp.zeros((), piece.dtype), pads)
    return below


@layer_rule(layers.global_pool)
def _global_pool(call: Call) -> Step:
    """y = the mean of the n places:  dC/dx = G / n at each; of the greatest, G shared by all that are equally great.

    Padded positions of a sequence are none of them.
    """
    y, state = call.apply()
    x, mask = call.x, call.context.sequence_mask
    axes, wide = tuple(range(1, x.ndim - 1)), wide_dtype(x.dtype)

    def vjp(g: Array) -> Cotangents:
        real = jnp.ones(x.shape, bool)
        if mask is not None:
            real = jnp.broadcast_to(lax.expand_dims(mask.astype(bool), range(2, x.ndim)), x.shape)
        if call.layer.arguments["kind"] == "max":
            real = real & (x == jnp.broadcast_to(lax.expand_dims(y, axes), x.shape))
        count = jnp.maximum(jnp.sum(real, axes, dtype=wide), 1)
        each = lax.expand_dims(g.astype(wide) / count, axes)
        return Cotangents(jnp.where(real, jnp.broadcast_to(each, x.shape), 0).astype(x.dtype), {})

    return Step(y, state, vjp)

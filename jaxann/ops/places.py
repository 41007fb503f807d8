"""Places put elsewhere: added around an image, cut off, or traded for channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_array, check_choice, fail
from jaxann.core.typing import Array
from jaxann.ops.windows import MODES, Padding, as_axes, as_padding

__all__ = ["as_widths", "crop", "pad", "pixel_shuffle", "pixel_unshuffle"]

_KINDS = {"circular": "wrap", "reflect": "reflect", "replicate": "edge"}  # as NumPy calls them


def pad(x: Array, widths: Padding, *, mode: str = "zeros") -> Array:
    """y[n, low + p, c] = x[n, p, c], with places around it that hold what the mode says.

    Args:
        x: `(batch, *places, channels)`.
        widths: places on each side, or for each axis a number or a pair (before, after).
        mode: "zeros"; "circular", the places of the other end; "reflect", those that mirror at the last place, without
            it; "replicate", the last place.

    Returns:
        `(batch, *places + before + after, channels)`.

    Peers: PyTorch's pad, whose numbers come from the last axis to the first. jnp.pad calls the modes constant, wrap,
    reflect and edge.

    Raises:
        InputError: widths are no whole numbers, the mode is unknown, or there are fewer places than are mirrored or
            come from the other end.
    """
    pairs = as_widths("pad", x, widths)
    check_choice("pad", "mode", mode, MODES)
    around = ((0, 0), *pairs, (0, 0))
    if mode == "zeros":
        return jnp.pad(x, around)
    for n, pair in zip(x.shape[1:-1], pairs, strict=True):
        there = {"circular": n, "reflect": n - 1}.get(mode, max(pair) if n else 0)
        if max(pair) > there:
            fail("pad", "widths", f"at most the {there} places there are to take", pair)
    return jnp.pad(x, around, mode=_KINDS[mode])


def crop(x: Array, widths: Padding) -> Array:
    """y[n, p, c] = x[n, low + p, c]: the places without `widths` of them on each side.

    Args:
        x: `(batch, *places, channels)`.
        widths: as of `pad`.

    Raises:
        InputError: widths are no whole numbers, or nothing is left along an axis.
    """
    pairs = as_widths("crop", x, widths)
    for n, (low, high) in zip(x.shape[1:-1], pairs, strict=True):
        if low + high >= n:
            fail("crop", "widths", f"below the {n} places there are, both sides counted", (low, high))
    ends = [n - high for n, (_, high) in zip(x.shape[1:-1], pairs, strict=True)]
    return lax.slice(x, (0, *(low for low, _ in pairs), 0), (x.shape[0], *ends, x.shape[-1]))


def pixel_shuffle(x: Array, factor: int | Sequence[int]) -> Array:
    """y[n, r h + i, r w + j, c] = x[n, h, w, c r^2 + i r + j]: channels become places.

    Args:
        x: `(batch, *places, channels)`, of however many axes of places.
        factor: r, for all axes or each; their product divides the channels.

    Returns:
        `(batch, *places * r, channels / product of r)`.

    Peers: PyTorch's pixel_shuffle, in the same order of channels; TensorFlow's depth_to_space has them as
    i r C + j C + c, C being the number of channels left.

    Source: Shi et al. 2016.

    Raises:
        InputError: the factor is no positive integer, or does not divide the channels.
    """
    factors = _factors("pixel_shuffle", x, factor)
    whole = math.prod(factors)
    if x.shape[-1] % whole:
        fail("pixel_shuffle", "factor", f"such that {whole} divides the {x.shape[-1]} channels", factor)
    rank, places = len(factors), x.shape[1:-1]
    apart = x.reshape(x.shape[0], *places, x.shape[-1] // whole, *factors)
    order = [axis for k in range(rank) for axis in (1 + k, 2 + rank + k)]
    found = jnp.transpose(apart, (0, *order, 1 + rank))
    return found.reshape(x.shape[0], *(n * r for n, r in zip(places, factors, strict=True)), x.shape[-1] // whole)


def pixel_unshuffle(x: Array, factor: int | Sequence[int]) -> Array:
    """y[n, h, w, c r^2 + i r + j] = x[n, r h + i, r w + j, c]: places become channels; the inverse of `pixel_shuffle`.

    Args:
        x: `(batch, *places, channels)`.
        factor: r, for all axes or each; it divides the places.

    Returns:
        `(batch, *places / r, channels * product of r)`.

    Peers: PyTorch's pixel_unshuffle, in the same order of channels.

    Raises:
        InputError: the factor is no positive integer, or does not divide the places.
    """
    factors = _factors("pixel_unshuffle", x, factor)
    rank, places = len(factors), x.shape[1:-1]
    if any(n % r for n, r in zip(places, factors, strict=True)):
        fail("pixel_unshuffle", "factor", f"such that it divides the places {places}", factor)
    counts = [n // r for n, r in zip(places, factors, strict=True)]
    apart = x.reshape(x.shape[0], *(m for pair in zip(counts, factors, strict=True) for m in pair), x.shape[-1])
    order = [0, *(1 + 2 * k for k in range(rank)), 1 + 2 * rank, *(2 + 2 * k for k in range(rank))]
    return jnp.transpose(apart, order).reshape(x.shape[0], *counts, x.shape[-1] * math.prod(factors))


def as_widths(function: str, x: Array, widths: Any) -> tuple[tuple[int, int], ...]:
    """Places before and after along each axis of x.

    Raises:
        InputError: widths are no whole numbers, or x has no axis of places.
    """
    _check(function, x)
    if isinstance(widths, str):
        fail(function, "widths", "a whole number, or numbers or pairs for each axis", widths)
    found = as_padding(function, widths, x.ndim - 2, "widths")
    assert not isinstance(found, str)
    return found


def _factors(function: str, x: Array, factor: Any) -> tuple[int, ...]:
    _check(function, x)
    return as_axes(function, "factor", factor, x.ndim - 2)


def _check(function: str, x: Array) -> None:
    check_array(function, "x", x)
    if x.ndim < 3:
        fail(function, "x", "of shape (batch, *places, channels)", f" shape {x.shape}")

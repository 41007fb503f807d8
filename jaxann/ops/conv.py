"""Convolution over any number of axes, and its transpose."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from jaxann.core.checks import check_array, check_choice, check_floating, check_integer, fail
from jaxann.core.typing import Array
from jaxann.ops.channels import at_all_places
from jaxann.ops.conv_maps import Geometry, convolve, input_gradient
from jaxann.ops.windows import MODES, Padding, Windows, as_axes, as_padding, as_windows, positions

__all__ = ["conv", "conv_transpose", "filled", "geometry_of", "transposed"]


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "same",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Array:
    """z[n, p, o] = sum over q, i of x[n, s p + d q - low, i] w[q, i, o] + b[o]: a convolution over any number of axes.

    Args:
        x: `(batch, *places, in)`; one axis of places for signals, two for images, three for volumes.
        weight: `(*size, in / groups, out)` of the same dtype.
        bias: `(out,)`, or None.
        stride: places from one window to the next, for all axes or each.
        padding: "same" (ceil(places / stride) positions, the odd place last), "valid" (none), a number of places, or
            for each axis a number or a pair (before, after).
        dilation: places from one entry of a window to the next.
        groups: into how many the channels fall; group g of the outputs sees group g of the inputs alone.
        padding_mode: what padded places hold: "zeros"; "circular", the places of the other end; "reflect", those that
            mirror at the last place, without it; "replicate", the last place.

    Returns:
        `(batch, *positions, out)`.

    Peers: PyTorch's conv1d, conv2d and conv3d on channels-first arrays and kernels `(out, in / groups, *size)`, and
    flax's Conv. PyTorch pads alike on both sides; its "same" refuses a stride.

    Raises:
        InputError: an argument is wrong, shapes do not fit together, or no window fits into x.
    """
    geometry = geometry_of("conv", x, weight, stride, padding, dilation, groups)
    positions("conv", geometry.windows, geometry.places)
    if padding_mode != "zeros":
        x, geometry = filled("conv", x, geometry, padding_mode)
    return _with_bias("conv", convolve(x, weight, geometry), bias)


def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Array:
    """The transpose of `conv` in its input, with a bias: each place of x adds its window of weights to the output.

    Args:
        x: `(batch, *places, in)`.
        weight: `(*size, out / groups, in)`: that of the convolution from the output to x.
        bias: `(out,)`, or None.
        stride, dilation, groups: of that convolution.
        padding: of that convolution: places that the output loses on each side. "same" gives stride times the places,
            "valid" all that a window reaches.
        output_padding: places that the output has more at the end of each axis, below the stride; for "same" and
            "valid" it must be 0.

    Returns:
        `(batch, *places, out)`, along each axis (n - 1) stride - low - high + dilation (size - 1) + output_padding + 1.

    Peers: PyTorch's conv_transpose1d, 2d and 3d, with kernels `(in, out / groups, *size)` (and an output_padding up to
    the dilation, which adds places of the bias alone), Keras' Conv2DTranspose and
    flax's ConvTranspose with transpose_kernel=True.

    Raises:
        InputError: an argument is wrong, or shapes do not fit together.
    """
    geometry = transposed("conv_transpose", x, weight, stride, padding, output_padding, dilation, groups)
    return _with_bias("conv_transpose", input_gradient(x, weight, geometry), bias)


def geometry_of(
    function: str, x: Array, weight: Array, stride: object, padding: object, dilation: object, groups: int
) -> Geometry:
    """The geometry of a convolution of x.

    Raises:
        InputError: an argument is wrong, or shapes do not fit together.
    """
    rank = _check(function, x, weight, groups)
    if x.shape[-1] != weight.shape[-2] * groups or weight.shape[-1] % groups:
        expected = f"of {x.shape[-1]} / groups ({groups}) inputs, and outputs that groups divide"
        fail(function, "weight", expected, f" shape {weight.shape}")
    windows = as_windows(
        function, x.shape[1:-1], weight.shape[:rank], stride=stride, padding=padding, dilation=dilation
    )
    return Geometry(windows, x.shape[1:-1], groups)


def transposed(
    function: str, x: Array, weight: Array, stride: object, padding: object, output_padding: object, dilation: object,
    groups: int,
) -> Geometry:  # fmt: skip
    """The geometry of the convolution whose transpose is taken: from the output to x.

    Raises:
        InputError: an argument is wrong, or shapes do not fit together.
    """
    rank = _check(function, x, weight, groups)
    if x.shape[-1] != weight.shape[-1] or x.shape[-1] % groups:
        expected = f"of {x.shape[-1]} in the last axis, which groups ({groups}) divide"
        fail(function, "weight", expected, f" shape {weight.shape}")
    steps = as_axes(function, "stride", stride, rank)
    apart = as_axes(function, "dilation", dilation, rank)
    more = as_axes(function, "output_padding", output_padding, rank, minimum=0)
    given = as_padding(function, padding, rank)
    if isinstance(given, str) and any(more):
        fail(function, "output_padding", f"0 where padding is {given!r}", output_padding)
    if any(m >= s for m, s in zip(more, steps, strict=True)):
        fail(function, "output_padding", "below the stride", output_padding)
    places, pads = [], []
    for axis, (n, k, s, d) in enumerate(zip(x.shape[1:-1], weight.shape[:rank], steps, apart, strict=True)):
        reach = d * (k - 1) + 1
        if given == "same":
            whole, lost = n * s, max(0, (n - 1) * s + reach - n * s)
            low, high = lost // 2, lost - lost // 2
        else:
            low, high = (0, 0) if isinstance(given, str) else given[axis]
            whole = (n - 1) * s - low - high + reach + more[axis]
            if given == "valid":
                whole = (n - 1) * s + max(reach, s)
        if whole < 1:
            fail(function, "padding", f"such that something is left of {(n - 1) * s + reach} places", padding)
        places.append(whole)
        pads.append((low, high))
    return Geometry(Windows(weight.shape[:rank], steps, tuple(pads), apart), tuple(places), groups)


def filled(function: str, x: Array, geometry: Geometry, mode: str) -> tuple[Array, Geometry]:
    """x with its padded places filled in, and the windows on that."""
    check_choice(function, "padding_mode", mode, MODES)
    windows, places, groups = geometry
    for n, pair in zip(places, windows.pads, strict=True):
        if mode != "replicate" and max(pair) > n - (mode == "reflect"):
            fail(function, "padding", f"at most the {n - (mode == 'reflect')} places there are to take", pair)
    kind = {"circular": "wrap", "reflect": "reflect", "replicate": "edge"}[mode]
    x = jnp.pad(x, ((0, 0), *windows.pads, (0, 0)), mode=kind)
    return x, Geometry(windows._replace(pads=((0, 0),) * len(places)), x.shape[1:-1], groups)


def _check(function: str, x: Array, weight: Array, groups: int) -> int:
    """The number of axes of places."""
    check_floating(function, "x", x)
    check_floating(function, "weight", weight)
    check_integer(function, "groups", groups)
    rank = weight.ndim - 2
    if rank < 1:
        fail(function, "weight", "of shape (*size, in, out)", f" shape {weight.shape}")
    if x.ndim != rank + 2:
        fail(function, "x", f"of shape (batch, {rank} axes of places, channels)", f" shape {x.shape}")
    if x.dtype != weight.dtype:
        fail(function, "x", f"of the weight's dtype {weight.dtype}", f" {x.dtype}")
    return rank


def _with_bias(function: str, z: Array, bias: Array | None) -> Array:
    if bias is None:
        return z
    check_array(function, "bias", bias)
    if bias.shape != z.shape[-1:] or bias.dtype != z.dtype:
        got = f" {bias.dtype} of shape {bias.shape}"
        fail(function, "bias", f"{z.dtype} of shape {z.shape[-1:]}, one for each output", got)
    return z + at_all_places(bias, z)

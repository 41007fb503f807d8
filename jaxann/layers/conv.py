"""Convolutional layers, over one axis of places (signals), two (images) or three (volumes)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxann import ops
from jaxann.core.checks import check_choice, check_floating, check_integer, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.padding import zero_padding
from jaxann.core.products import Initializer, Layer, LayerFunctions
from jaxann.core.typing import Array
from jaxann.initializers import lecun_normal, zeros
from jaxann.ops.windows import MODES, as_axes, as_padding, as_size

__all__ = ["conv", "conv_transpose", "depthwise_conv"]

_STATIC = ("filters", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")


@factory(Layer, static=_STATIC, traits=("outputs_last",))
def conv(
    filters: int,
    kernel_size: int | tuple[int, ...],
    *,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | tuple = "same",
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """z[n, p, o] = sum over q, i of x[n, s p + d q - low, i] W[q, i, o] + b[o]; see `ops.conv`.

        conv(32, 3)            images, 3 x 3 windows         conv(32, (5,))        signals
        conv(64, (3, 3), stride=2, padding=1)                conv(16, (3, 3, 3))   volumes

    Args:
        filters: number of outputs.
        kernel_size: places of a window along each axis; one number is that of both axes of an image.
        stride: places from one window to the next, for all axes or each.
        padding: "same" (ceil(places / stride) positions, the odd place last), "valid", a number of places, or for each
            axis a number or a pair (before, after).
        dilation: places from one entry of a window to the next.
        groups: into how many inputs and outputs fall; group g of the outputs sees group g of the inputs alone.
        padding_mode: what padded places hold: "zeros", "circular", "reflect" or "replicate".
        use_bias: whether there is a b; leave it out right before a batch normalization, which cancels it.
        kernel_init: distribution of W, `lecun_normal()` when None; `initializers.init_for` picks one.
        bias_init: distribution of b, zeros when None.

    Input `(batch, *places, channels)`, output `(batch, *positions, filters)`. Parameters: `weight`
    `(*kernel_size, channels / groups, filters)`, `bias` `(filters,)`. Of padded sequences the first axis of places is
    time: padded positions are 0 in the windows, and there have to be as many positions as places along it. One of
    signals that looks back alone, `padding=((dilation (size - 1), 0),)` with stride 1, goes one position at a time too.

    Peers: flax's Conv (whose distributions these are) has windows "SAME" by default and Keras' Conv1D, 2D, 3D "valid";
    PyTorch's Conv1d, 2d, 3d have channels first, kernels `(filters, channels / groups, *kernel_size)`, no padding by
    default and U(-a, a), a = 1 / sqrt(fan_in), for W and b. With stride 2 "same" pads unlike torchvision's nets.

    Raises:
        InputError: an argument is wrong, x has another number of axes or channels, or no window fits into it.
    """
    size = as_size("conv", kernel_size)
    check_integer("conv", "filters", filters)
    check_integer("conv", "groups", groups)
    check_choice("conv", "padding_mode", padding_mode, MODES)
    if filters % groups:
        fail("conv", "filters and groups", "such that groups divide filters", f" {filters} and {groups}")
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _convolution(
        "conv", lambda channels: filters, size, settings, padding_mode, use_bias, kernel_init, bias_init
    )


@factory(Layer, static=("multiplier", *_STATIC[1:5], "padding_mode"), traits=("outputs_last",))
def depthwise_conv(
    kernel_size: int | tuple[int, ...],
    *,
    multiplier: int = 1,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | tuple = "same",
    dilation: int | tuple[int, ...] = 1,
    padding_mode: str = "zeros",
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """Each channel convolved by itself: z[n, p, c m + j] = sum over q of x[n, s p + d q - low, c] W[q, 0, c m + j] + b.

    Args:
        kernel_size, stride, padding, dilation, padding_mode, use_bias, kernel_init, bias_init: as of `conv`.
        multiplier: m, outputs of each channel.

    Parameters: `weight` `(*kernel_size, 1, channels multiplier)`, `bias` `(channels multiplier,)`. It is `conv` with as
    many groups as channels; a `conv(filters, 1)` after it makes it a separable convolution.

    Peers: Keras' DepthwiseConv2D keeps `(*kernel_size, channels, multiplier)`; in PyTorch and flax it is a convolution
    of as many groups as channels.

    Source: Sifre 2014; Chollet 2017.

    Raises:
        InputError: an argument is wrong, x has another number of axes or channels, or no window fits into it.
    """
    size = as_size("depthwise_conv", kernel_size)
    check_integer("depthwise_conv", "multiplier", multiplier)
    check_choice("depthwise_conv", "padding_mode", padding_mode, MODES)
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": None}
    return _convolution(
        "depthwise_conv", lambda c: c * multiplier, size, settings, padding_mode, use_bias, kernel_init, bias_init
    )


def _convolution(
    name: str,
    filters_of: Callable[[int], int],
    size: tuple[int, ...],
    settings: dict[str, Any],
    mode: str,
    use_bias: bool,
    kernel_init: Initializer | None,
    bias_init: Initializer | None,
):
    """The functions of the layer; None for groups are as many as channels."""
    rank = len(size)
    as_axes(name, "stride", settings["stride"], rank)
    as_axes(name, "dilation", settings["dilation"], rank)
    as_padding(name, settings["padding"], rank)

    def init(key, spec):
        check_floating(name, "spec", spec)
        if len(spec.shape) != rank + 2:
            fail(name, "spec", f"of shape (batch, {rank} axes of places, channels)", f" shape {tuple(spec.shape)}")
        channels = spec.shape[-1]
        groups = settings["groups"] or channels
        if channels < 1 or channels % groups:
            fail(name, "spec", f"of channels that groups ({groups}) divide", f" shape {tuple(spec.shape)}")
        made = (*size, channels // groups, filters_of(channels))
        params = {"weight": (kernel_init or lecun_normal())(fold_name(key, "weight"), made, spec.dtype)}
        if use_bias:
            params["bias"] = (bias_init or zeros())(fold_name(key, "bias"), made[-1:], spec.dtype)
        return params, {}

    def apply(params, state, x, *, key=None, train=False, sequence_mask=None):
        weight = params["weight"]
        channels = weight.shape[-2] * (settings["groups"] or x.shape[-1])
        if x.ndim != rank + 2 or x.shape[-1] != channels:
            fail(name, "x", f"of shape (batch, {rank} axes of places, {channels})", f" shape {x.shape}")
        if x.dtype != weight.dtype:
            fail(name, "x", f"of the weight's dtype {weight.dtype}", f" {x.dtype}")
        if sequence_mask is not None:
            x = zero_padding(x, sequence_mask)
        given = settings | {"groups": settings["groups"] or x.shape[-1]}
        z = ops.conv(x, weight, params.get("bias"), **given, padding_mode=mode)
        _check_positions(name, z, x, sequence_mask, mode)
        return z, state

    before = _places_before(name, size, settings, mode)
    if before is None:
        return LayerFunctions(init, apply)

    def start(params, batch):
        weight, groups = params["weight"], settings["groups"]
        channels = weight.shape[-2] * groups if groups else weight.shape[-1] // filters_of(1)
        return jnp.zeros((batch, before, channels), weight.dtype)

    def step(params, carry, x):
        if x.ndim != 2 or x.shape[-1] != carry.shape[-1]:
            fail(name, "x", f"of shape (batch, {carry.shape[-1]})", f" shape {x.shape}")
        if x.dtype != carry.dtype:
            fail(name, "x", f"of the weight's dtype {carry.dtype}", f" {x.dtype}")
        window = jnp.concatenate([carry, x[:, None]], 1)
        given = settings | {"groups": settings["groups"] or x.shape[-1], "padding": "valid"}
        return ops.conv(window, params["weight"], params.get("bias"), **given)[:, 0], window[:, 1:]

    return LayerFunctions(init, apply, start=start, step=step)


def _places_before(name: str, size: tuple[int, ...], settings: dict[str, Any], mode: str) -> int | None:
    """How many places before its own a position of a signal sees, where it sees none after it; else None."""
    if len(size) != 1 or mode != "zeros" or as_axes(name, "stride", settings["stride"], 1) != (1,):
        return None
    before = as_axes(name, "dilation", settings["dilation"], 1)[0] * (size[0] - 1)
    padding = as_padding(name, settings["padding"], 1)
    return before if padding == ((before, 0),) or (isinstance(padding, str) and before == 0) else None


def _check_positions(name: str, z: Array, x: Array, sequence_mask: Array | None, mode: str) -> None:
    """The positions of padded sequences are those of the input, and nothing but 0 is behind their ends."""
    if sequence_mask is None:
        return
    if z.shape[1] != x.shape[1]:
        hint = 'Stride 1 along time and padding="same" keep the positions of sequences.'
        fail(name, "sequence_mask", f"None where {x.shape[1]} positions become {z.shape[1]}", sequence_mask, hint=hint)
    if mode != "zeros":
        fail(name, "sequence_mask", f"None where padding_mode is {mode!r}", sequence_mask)


@factory(
    Layer,
    static=("filters", "kernel_size", "stride", "padding", "output_padding", "dilation", "groups"),
    traits=("outputs_before_last",),
)
def conv_transpose(
    filters: int,
    kernel_size: int | tuple[int, ...],
    *,
    stride: int | tuple[int, ...] = 1,
    padding: str | int | tuple = "same",
    output_padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    use_bias: bool = True,
    kernel_init: Initializer | None = None,
    bias_init: Initializer | None = None,
):
    """The transpose of a convolution: each x[n, p, i] adds its W[:, o, i] to the output from s p - low on, plus b.

    Args:
        filters: number of outputs.
        kernel_size, stride, dilation, groups, use_bias, kernel_init, bias_init: as of `conv`.
        padding: "same" (stride times the places), "valid" (all that a window reaches), or places that the output loses
            on each side, as in PyTorch.
        output_padding: places more at the end of each axis, below the stride.

    Input `(batch, *places, channels)`, output `(batch, *places, filters)`, along each axis
    (n - 1) stride - low - high + dilation (size - 1) + output_padding + 1. Parameters: `weight`
    `(*kernel_size, filters / groups, channels)`, `bias` `(filters,)`.

    Peers: Keras' Conv2DTranspose (the same kernel) and flax's ConvTranspose(transpose_kernel=True); PyTorch's
    ConvTranspose2d has kernels `(channels, filters / groups, *kernel_size)`.

    Raises:
        InputError: an argument is wrong, x has another number of axes or channels, or nothing is left of it.
    """
    name, size = "conv_transpose", as_size("conv_transpose", kernel_size)
    rank = len(size)
    check_integer(name, "filters", filters)
    check_integer(name, "groups", groups)
    if filters % groups:
        fail(name, "filters and groups", "such that groups divide filters", f" {filters} and {groups}")
    as_axes(name, "stride", stride, rank)
    as_axes(name, "dilation", dilation, rank)
    more = as_axes(name, "output_padding", output_padding, rank, minimum=0)
    if any(m >= s for m, s in zip(more, as_axes(name, "stride", stride, rank), strict=True)):
        fail(name, "output_padding", "below the stride", output_padding)
    as_padding(name, padding, rank)
    settings = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}

    def init(key, spec):
        check_floating(name, "spec", spec)
        if len(spec.shape) != rank + 2 or spec.shape[-1] < 1 or spec.shape[-1] % groups:
            expected = f"of shape (batch, {rank} axes of places, channels), channels that groups ({groups}) divide"
            fail(name, "spec", expected, f" shape {tuple(spec.shape)}")
        shape = (*size, spec.shape[-1], filters // groups)  # as of a convolution from x, for its fans

        def drawn(draw: Initializer) -> Array:
            return jnp.swapaxes(draw(fold_name(key, "weight"), shape, spec.dtype), -1, -2)

        params = {"weight": drawn(kernel_init or lecun_normal())}
        if use_bias:
            params["bias"] = (bias_init or zeros())(fold_name(key, "bias"), (filters,), spec.dtype)
        return params, {}

    def apply(params, state, x, *, key=None, train=False):
        weight: jax.Array = params["weight"]
        if x.ndim != rank + 2 or x.shape[-1] != weight.shape[-1]:
            fail(name, "x", f"of shape (batch, {rank} axes of places, {weight.shape[-1]})", f" shape {x.shape}")
        if x.dtype != weight.dtype:
            fail(name, "x", f"of the weight's dtype {weight.dtype}", f" {x.dtype}")
        return ops.conv_transpose(x, weight, params.get("bias"), **settings, groups=groups), state

    return init, apply

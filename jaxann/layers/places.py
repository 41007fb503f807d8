"""Layers that put places elsewhere: added around an image, cut off, or traded for channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxann import ops
from jaxann.core.checks import check_choice, fail
from jaxann.core.factories import factory
from jaxann.core.products import Layer
from jaxann.core.typing import Array
from jaxann.ops.windows import MODES, as_axes, as_padding

__all__ = ["crop", "pad", "pixel_shuffle", "pixel_unshuffle"]


@factory(Layer, static=("widths", "mode"))
def pad(widths: int | tuple, *, mode: str = "zeros"):
    """y[n, low + p, c] = x[n, p, c], with places around it that hold what the mode says.

    Args:
        widths: places on each side, or for each axis a number or a pair (before, after).
        mode: "zeros", "circular", "reflect" or "replicate", as of `conv`.

    Input `(batch, *places, channels)`, output `(batch, *places + before + after, channels)`; no parameters.

    Peers: PyTorch's ZeroPad2d, CircularPad2d, ReflectionPad2d and ReplicationPad2d; Keras' ZeroPadding2D.

    Raises:
        InputError: widths are no whole numbers, the mode is unknown, x has no axis of places, or there are fewer places
            than are mirrored or come from the other end.
    """
    _check_widths("pad", widths)
    check_choice("pad", "mode", mode, MODES)
    return _moved(lambda x: ops.pad(x, widths, mode=mode))


@factory(Layer, static=("widths",))
def crop(widths: int | tuple):
    """y[n, p, c] = x[n, low + p, c]: the places without `widths` of them on each side.

    Args:
        widths: as of `pad`.

    Input `(batch, *places, channels)`, output `(batch, *places - before - after, channels)`; no parameters.

    Peers: Keras' Cropping2D.

    Raises:
        InputError: widths are no whole numbers, x has no axis of places, or nothing is left along one.
    """
    _check_widths("crop", widths)
    return _moved(lambda x: ops.crop(x, widths))


@factory(Layer, static=("factor",))
def pixel_shuffle(factor: int | tuple[int, ...]):
    """y[n, r h + i, r w + j, c] = x[n, h, w, c r^2 + i r + j]: channels become places.

    Args:
        factor: r, for all axes or each; their product divides the channels.

    Input `(batch, *places, channels)`, output `(batch, *places * r, channels / product of r)`; no parameters.

    Peers: PyTorch's PixelShuffle, in the same order of channels.

    Source: Shi et al. 2016.

    Raises:
        InputError: the factor is no positive integer, or does not divide the channels.
    """
    _check_factor("pixel_shuffle", factor)
    return _moved(lambda x: ops.pixel_shuffle(x, factor))


@factory(Layer, static=("factor",))
def pixel_unshuffle(factor: int | tuple[int, ...]):
    """y[n, h, w, c r^2 + i r + j] = x[n, r h + i, r w + j, c]: places become channels; the inverse of `pixel_shuffle`.

    Args:
        factor: r, for all axes or each; it divides the places.

    Input `(batch, *places, channels)`, output `(batch, *places / r, channels * product of r)`; no parameters.

    Peers: PyTorch's PixelUnshuffle, in the same order of channels.

    Raises:
        InputError: the factor is no positive integer, or does not divide the places.
    """
    _check_factor("pixel_unshuffle", factor)
    return _moved(lambda x: ops.pixel_unshuffle(x, factor))


def _moved(function: Callable[[Array], Array]) -> tuple[Callable, Callable]:
    """`(init, apply)` of a layer without parameters."""

    def apply(params, state, x, *, key=None, train=False):
        return function(x), state

    return lambda key, spec: ({}, {}), apply


def _check_widths(function: str, widths: Any) -> None:
    if isinstance(widths, str):
        fail(function, "widths", "a whole number, or numbers or pairs for each axis", widths)
    as_padding(function, widths, len(widths) if isinstance(widths, tuple | list) else 1, "widths")


def _check_factor(function: str, factor: Any) -> None:
    as_axes(function, "factor", factor, len(factor) if isinstance(factor, tuple | list) else 1)

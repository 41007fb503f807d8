"""Backward rules of the layers that put places elsewhere."""

from __future__ import annotations

from jaxann import layers, ops
from jaxann.backprop.layers.conv import given_back
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.typing import Array
from jaxann.ops.places import as_widths

__all__ = []


@layer_rule(layers.pad)
def _pad(call: Call) -> Step:
    """y = x with places around it:  dC/dx = G without these places.

    Places that hold numbers of x (circular, reflected, replicated) give what they get to where these came from.
    """
    y, state = call.apply()
    widths, mode = (call.layer.arguments[name] for name in ("widths", "mode"))

    def vjp(g: Array) -> Cotangents:
        if mode == "zeros":
            return Cotangents(ops.crop(g, widths), {})
        for axis, pair in enumerate(as_widths("pad", call.x, widths), start=1):
            g = given_back(g, axis, pair, mode)
        return Cotangents(g, {})

    return Step(y, state, vjp)


@layer_rule(layers.crop)
def _crop(call: Call) -> Step:
    """y = x without places around it:  dC/dx = G with 0 at these places, which the cost does not depend on."""
    y, state = call.apply()
    return Step(y, state, lambda g: Cotangents(ops.pad(g, call.layer.arguments["widths"]), {}))


@layer_rule(layers.pixel_shuffle)
def _pixel_shuffle(call: Call) -> Step:
    """y = x in another order:  dC/dx = G in the order of x."""
    y, state = call.apply()
    return Step(y, state, lambda g: Cotangents(ops.pixel_unshuffle(g, call.layer.arguments["factor"]), {}))


@layer_rule(layers.pixel_unshuffle)
def _pixel_unshuffle(call: Call) -> Step:
    """y = x in another order:  dC/dx = G in the order of x."""
    y, state = call.apply()
    return Step(y, state, lambda g: Cotangents(ops.pixel_shuffle(g, call.layer.arguments["factor"]), {}))

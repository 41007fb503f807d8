"""The backward rules of numbers brought to a known mean and deviation, and back."""

from __future__ import annotations

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.typing import Array
from jaxann.layers.standardize import for_each

__all__ = []


@layer_rule(layers.standardize)
def _standardize(call: Call) -> Step:
    """y = (x - m) / s:  dC/dx = G / s, for each channel."""
    y, state = call.apply()

    def vjp(g: Array) -> Cotangents:
        return Cotangents(g / for_each(call.layer.arguments["deviation"], g), {})

    return Step(y, state, vjp)


@layer_rule(layers.unstandardize)
def _unstandardize(call: Call) -> Step:
    """y = m + s x:  dC/dx = s G, for each channel."""
    y, state = call.apply()

    def vjp(g: Array) -> Cotangents:
        return Cotangents(g * for_each(call.layer.arguments["deviation"], g), {})

    return Step(y, state, vjp)

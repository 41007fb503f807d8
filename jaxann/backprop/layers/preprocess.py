"""The backward rule of what was learned from the data before training."""

from __future__ import annotations

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step

__all__ = []


@layer_rule(layers.preprocess)
def _preprocess(call: Call) -> Step:
    """y = transform(statistics, x):  nothing is trained, and x is data, so there is no dC/dx to hand on."""
    y, state = call.apply()
    return Step(y, state, lambda g: Cotangents(None, {}))

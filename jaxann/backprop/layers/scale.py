"""The backward rule of a learned factor of each channel."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.layers.dense import sum_of_rows
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.typing import Array

__all__ = []


@layer_rule(layers.layer_scale)
def _layer_scale(call: Call) -> Step:
    """y = s x:  dC/dx = s G,  dC/ds = sum over examples and places of x G."""
    y, state = call.apply()
    scale = call.params["scale"]

    def vjp(g: Array) -> Cotangents:
        return Cotangents(g * jnp.broadcast_to(scale, g.shape), {"scale": sum_of_rows(call.x * g)})

    return Step(y, state, vjp)

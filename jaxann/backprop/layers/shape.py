"""Backward rules of the layers that move numbers and change none."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step

__all__ = []


@layer_rule(layers.reshape)
def _reshape(call: Call) -> Step:
    """y = x in another shape:  dC/dx = G in the shape of x."""
    y, state = call.apply()
    return Step(y, state, lambda g: Cotangents(g.reshape(call.x.shape), {}))


@layer_rule(layers.permute)
def _permute(call: Call) -> Step:
    """y = x with its axes in another order:  dC/dx = G with its axes put back."""
    y, state = call.apply()
    axes = (0, *call.layer.arguments["axes"])
    back = tuple(axes.index(i) for i in range(len(axes)))
    return Step(y, state, lambda g: Cotangents(jnp.transpose(g, back), {}))

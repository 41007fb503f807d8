"""Backward rules of positions."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.layers.dense import rows
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.layers.positions import real_positions

__all__ = []


@layer_rule(layers.learned_positions)
def _learned_positions(call: Call) -> Step:
    """y_t = x_t + P_t:  dC/dx = G,  dC/dP_t = sum of the G of all places that are position t of their example."""
    y, state = call.apply()
    weight = call.params["weight"]
    places = jnp.broadcast_to(real_positions(call.x, call.context.sequence_mask), call.x.shape[:2])

    def vjp(g: Array) -> Cotangents:
        wide = rows(g).astype(wide_dtype(g.dtype))
        summed = jax.ops.segment_sum(wide, places.reshape(-1), weight.shape[0])
        return Cotangents(g, {"weight": summed.astype(weight.dtype)})

    return Step(y, state, vjp)


@layer_rule(layers.sinusoidal_positions)
def _sinusoidal_positions(call: Call) -> Step:
    """y = x + P:  dC/dx = G."""
    y, state = call.apply()
    return Step(y, state, lambda g: Cotangents(g, {}))

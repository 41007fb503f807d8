"""Backward rules of a position in front of a sequence."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.layers.dense import sum_of_rows
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import zero_padding
from jaxann.core.typing import Array

__all__ = []


@layer_rule(layers.class_token)
def _class_token(call: Call) -> Step:
    """y = (c, x_1, ..., x_T):  dC/dc = sum over the examples of G_0,  dC/dx_t = G_t."""
    y, state = call.apply()
    return Step(y, state, lambda g: Cotangents(g[:, 1:], {"weight": sum_of_rows(g[:, 0])}))


@layer_rule(layers.first_position)
def _first_position(call: Call) -> Step:
    """y = x_first:  dC/dx is G at the first real position, and 0 at all others."""
    y, state = call.apply()
    mask, x = call.context.sequence_mask, call.x
    places = jnp.arange(x.shape[1])[None]
    if mask is None:
        chosen = jnp.broadcast_to(places == 0, x.shape[:2])
    else:
        real = mask.astype(bool)
        chosen = real & (places == jnp.argmax(real, 1)[:, None])

    def vjp(g: Array) -> Cotangents:
        return Cotangents(zero_padding(jnp.broadcast_to(g[:, None], x.shape), chosen), {})

    return Step(y, state, vjp)

"""The backward rule of embedded ids."""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.layers.dense import rows
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.layers.source import sequence_of

__all__ = []


@layer_rule(layers.embedding)
def _embedding(call: Call) -> Step:
    """y_i = E[id_i] = (one-hot of id_i) E:  dC/dE[k] = sum of the G_i of all places i whose id is k.

    Ids are no numbers that a little could be added to, so there is no dC/dx. The row of the padding id gets 0.
    """
    y, state = call.apply()
    weight, settings = call.params["weight"], call.layer.arguments

    def vjp(g: Array) -> Cotangents:
        places = call.x.reshape(-1).astype(jnp.int32)
        wide = rows(g).astype(wide_dtype(g.dtype)) * (math.sqrt(weight.shape[1]) if settings["scale"] else 1)
        if settings["padding_id"] is not None:
            wide = jnp.where(jnp.broadcast_to((places == settings["padding_id"])[:, None], wide.shape), 0, wide)
        summed = jax.ops.segment_sum(wide, places, weight.shape[0])
        return Cotangents(None, {"weight": summed.astype(weight.dtype)})

    return Step(y, state, vjp)


@layer_rule(layers.segment_embedding)
def _segment_embedding(call: Call) -> Step:
    """y_i = E[id_i] + S[segment_i]:  each table gets the sum of the G_i of the places that looked a row up."""
    y, state = call.apply()
    places = {"weight": call.x}
    if isinstance(call.x, Mapping):
        places = {"weight": call.x["ids"], "segments": call.x["segments"]}

    def vjp(g: Array) -> Cotangents:
        wide, grads = rows(g).astype(wide_dtype(g.dtype)), {}
        for name, table in call.params.items():
            if name not in places:  # ids alone, which are all of the first
                summed = jnp.zeros(table.shape, wide.dtype).at[0].set(wide.sum(0))
            else:
                ids = sequence_of(places[name])[0].reshape(-1).astype(jnp.int32)
                summed = jax.ops.segment_sum(wide, ids, table.shape[0])
            grads[name] = summed.astype(table.dtype)
        return Cotangents(None, grads)

    return Step(y, state, vjp)

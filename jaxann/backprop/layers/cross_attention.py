"""The backward rule of attention to a second sequence."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import layers, ops
from jaxann.backprop.layers.attention import attend
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import zero_padding
from jaxann.core.typing import Array
from jaxann.layers.dropout import keep_factor
from jaxann.layers.source import reading

__all__ = []


@layer_rule(layers.cross_attention)
def _cross_attention(call: Call) -> Step:
    """As of `multi_head_attention`, Q being of x and K and V of the source M: with D = dC/dS,

        dC/dQ = D K / sqrt(d),    dC/dK = D^T Q / sqrt(d),    dC/dV = R^T G

    dC/dx is what the map of queries makes of the first, dC/dM what the map of keys and values makes of the others: the
    source learns from all positions that looked at it.
    """
    given, settings = reading("cross_attention", "x", call.x), call.layer.arguments
    heads = settings["heads"]
    groups = settings["groups"] or heads
    (batch, time), other = given.x.shape[:2], given.source.shape[1]
    asked, told = call.child("query", given.x, mask=None), call.child("key_value", given.source, mask=None)
    size = asked.y.shape[-1] // heads
    query = asked.y.reshape(batch, time, heads, size)
    key, value = jnp.moveaxis(told.y.reshape(batch, other, 2, groups, size), 2, 0)
    allowed = ops.attention_mask(time, other, real=given.real) if time and other else None
    shape = (batch, heads, time, other)
    keep = keep_factor("cross_attention", settings["dropout"], shape, call.key, call.train, given.x.dtype)
    attended = attend(query, key, value, allowed, None, keep)
    y, shares = attended.y, attended.shares
    out = call.child("out", y.reshape(batch, time, heads * size), mask=None)

    def vjp(g: Array) -> Cotangents:
        above = out.vjp(g)
        of_q, of_k, of_v, _ = attended.back(above.input_grad.reshape(y.shape))
        of_told = jnp.stack([of_k, of_v], 2).reshape(told.y.shape).astype(given.x.dtype)
        of_x = asked.vjp(of_q.reshape(asked.y.shape).astype(given.x.dtype))
        of_source = told.vjp(of_told)
        grads = {"query": of_x.grads, "key_value": of_source.grads, "out": above.grads}
        return Cotangents(
            {
                "x": of_x.input_grad if given.mask is None else zero_padding(of_x.input_grad, given.mask),
                "source": of_source.input_grad
                if given.real is None
                else zero_padding(of_source.input_grad, given.real),
            },
            grads,
        )

    shown = shares if given.mask is None else zero_padding(jnp.swapaxes(shares, 1, 2), given.mask).swapaxes(1, 2)
    state = {"query": asked.state, "key_value": told.state, "out": out.state}
    return Step(given.like(out.y), state, vjp, attention=shown, drawn=keep)

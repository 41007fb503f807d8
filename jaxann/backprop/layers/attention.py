"""The backward rule of attention."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import layers, ops
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import zero_padding
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.layers.attention import attention_heads
from jaxann.layers.dropout import keep_factor

__all__ = []


@layer_rule(layers.multi_head_attention)
def _attention(call: Call) -> Step:
    """Of each example and head, with S = Q K^T / sqrt(d) + bias, P = softmax(S) over the keys, R = P m and O = R V:

        dC/dV = R^T G,    dC/dR = G V^T,    dC/dP = m dC/dR
        D = dC/dS = P (dC/dP - sum over the keys of P dC/dP)
        dC/dQ = D K / sqrt(d),    dC/dK = D^T Q / sqrt(d)

    m is what dropout multiplies by, 1 where there is none. Who may not be seen has P = 0, and so D = 0. A group of keys
    that serves several heads gets the sum of what they give. A rotation is undone by the rotation back: its matrix is
    orthogonal. Q, K and V are one dense layer's outputs, whose rule goes on from there.
    """
    given = call.layer.arguments
    heads, groups = given["heads"], given["groups"] or given["heads"]
    mask = call.context.sequence_mask
    x = call.x if mask is None else zero_padding(call.x, mask)
    time, wide = x.shape[1], wide_dtype(x.dtype)
    mixed = call.child("qkv", x)
    query, key, value = attention_heads(mixed.y, heads, groups, given["positions"])
    bias = ops.alibi(heads, time, time) if given["positions"] == "alibi" and time else None
    seen = {"causal": given["causal"], "window": given["window"], "real": mask}
    allowed = ops.attention_mask(time, time, **seen) if time else None
    shares = ops.attention_weights(query, key, mask=allowed, bias=bias)
    keep = keep_factor("multi_head_attention", given["dropout"], shares.shape, call.key, call.train, x.dtype)
    taken = shares if keep is None else shares * keep
    q, k, v = (jnp.repeat(a.astype(wide), heads // a.shape[2], 2) for a in (query, key, value))
    y = jnp.einsum("bhqk,bkhd->bqhd", taken, v).astype(x.dtype)
    out = call.child("out", y.reshape(*x.shape[:2], heads * y.shape[3]))
    scale = 1 / jnp.sqrt(jnp.asarray(q.shape[-1], wide))

    def vjp(g: Array) -> Cotangents:
        above = out.vjp(g)
        of_y = above.input_grad.reshape(y.shape).astype(wide)
        of_v = jnp.einsum("bhqk,bqhd->bkhd", taken, of_y)
        of_p = jnp.einsum("bqhd,bkhd->bhqk", of_y, v)
        of_p = of_p if keep is None else of_p * keep
        delta = shares * (of_p - jnp.sum(shares * of_p, -1, keepdims=True))
        of_q, of_k = (
            jnp.einsum(form, delta, a) * scale for form, a in (("bhqk,bkhd->bqhd", k), ("bhqk,bqhd->bkhd", q))
        )
        of_k, of_v = (a.reshape(*a.shape[:2], groups, heads // groups, q.shape[3]).sum(3) for a in (of_k, of_v))
        if given["positions"] == "rotary":
            of_q, of_k = (ops.rotary(a, -jnp.arange(time)) for a in (of_q, of_k))
        together = jnp.concatenate([of_q, of_k, of_v], 2).reshape(mixed.y.shape).astype(x.dtype)
        below = mixed.vjp(together)
        input_grad = below.input_grad if mask is None else zero_padding(below.input_grad, mask)
        return Cotangents(input_grad, {"qkv": below.grads, "out": above.grads})

    return Step(out.y, {"qkv": mixed.state, "out": out.state}, vjp)

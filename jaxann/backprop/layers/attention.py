"""The backward rule of attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxann import layers, ops
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import check_positions, zero_padding
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.layers.attention import attention_heads, distance_buckets, position_bias
from jaxann.layers.dropout import keep_factor

__all__ = ["Attended", "attend"]


class Attended(NamedTuple):
    """What queries took of keys and values, and the way back."""

    y: Array  # (batch, queries, heads, d)
    shares: Array  # (batch, heads, queries, keys), before dropout
    # From dC/dy to those of Q, K (of its groups) and V, in float32 or better, and that of the scores, D.
    back: Callable[[Array], tuple[Array, Array, Array, Array]]


def attend(
    query: Array, key: Array, value: Array, allowed: Array | None, bias: Array | None, keep: Array | None
) -> Attended:
    """O = softmax(Q K^T / sqrt(d) + bias) m V, and its derivative; see `_attention` for the formulas.

    Args:
        query: `(batch, queries, heads, d)`.
        key, value: `(batch, keys, groups, d)`.
        allowed, bias: of `ops.attention`.
        keep: m, what dropout multiplies by; None for 1.
    """
    wide, (heads, groups) = wide_dtype(query.dtype), (query.shape[2], key.shape[2])
    shares = ops.attention_weights(query, key, mask=allowed, bias=bias)
    taken = shares if keep is None else shares * keep
    q, k, v = (jnp.repeat(a.astype(wide), heads // a.shape[2], 2) for a in (query, key, value))
    y = jnp.einsum("bhqk,bkhd->bqhd", taken, v).astype(query.dtype)
    scale = 1 / jnp.sqrt(jnp.asarray(q.shape[-1], wide))

    def back(of_y: Array) -> tuple[Array, Array, Array, Array]:
        of_y = of_y.astype(wide)
        of_v = jnp.einsum("bhqk,bqhd->bkhd", taken, of_y)
        of_p = jnp.einsum("bqhd,bkhd->bhqk", of_y, v)
        of_p = of_p if keep is None else of_p * keep
        delta = shares * (of_p - jnp.sum(shares * of_p, -1, keepdims=True))
        of_q, of_k = (
            jnp.einsum(form, delta, a) * scale for form, a in (("bhqk,bkhd->bqhd", k), ("bhqk,bqhd->bkhd", q))
        )
        of_k, of_v = (a.reshape(*a.shape[:2], groups, heads // groups, a.shape[3]).sum(3) for a in (of_k, of_v))
        return of_q, of_k, of_v, delta

    return Attended(y, shares, back)


@layer_rule(layers.multi_head_attention)
def _attention(call: Call) -> Step:
    """Of each example and head, with S = Q K^T / sqrt(d) + bias, P = softmax(S) over the keys, R = P m and O = R V:

        dC/dV = R^T G,    dC/dR = G V^T,    dC/dP = m dC/dR
        D = dC/dS = P (dC/dP - sum over the keys of P dC/dP)
        dC/dQ = D K / sqrt(d),    dC/dK = D^T Q / sqrt(d)

    m is what dropout multiplies by, 1 where there is none. Who may not be seen has P = 0, and so D = 0. A group of keys
    that serves several heads gets the sum of what they give. A rotation is undone by the rotation back: its matrix is
    orthogonal. A learned bias of a kind of distance gets the sum of D over all pairs of that distance. Q, K and V are
    one dense layer's outputs, whose rule goes on from there.
    """
    given = call.layer.arguments
    heads, groups = given["heads"], given["groups"] or given["heads"]
    check_positions("multi_head_attention", "x", call.x)
    mask = call.context.sequence_mask
    x = call.x if mask is None else zero_padding(call.x, mask)
    time = x.shape[1]
    mixed = call.child("qkv", x)
    query, key, value = attention_heads(mixed.y, heads, groups, given["positions"])
    bias = position_bias(given["positions"], call.params, heads, time, given["causal"])
    seen = {"causal": given["causal"], "window": given["window"], "real": mask}
    allowed = ops.attention_mask(time, time, **seen) if time else None
    keep = keep_factor(
        "multi_head_attention", given["dropout"], (x.shape[0], heads, time, time), call.key, call.train, x.dtype
    )
    attended = attend(query, key, value, allowed, bias, keep)
    y = attended.y
    out = call.child("out", y.reshape(*x.shape[:2], heads * y.shape[3]))

    def vjp(g: Array) -> Cotangents:
        above = out.vjp(g)
        of_q, of_k, of_v, delta = attended.back(above.input_grad.reshape(y.shape))
        if given["positions"] == "rotary":
            of_q, of_k = (ops.rotary(a, -jnp.arange(time)) for a in (of_q, of_k))
        together = jnp.concatenate([of_q, of_k, of_v], 2).reshape(mixed.y.shape).astype(x.dtype)
        below = mixed.vjp(together)
        input_grad = below.input_grad if mask is None else zero_padding(below.input_grad, mask)
        grads = {"qkv": below.grads, "out": above.grads}
        if given["positions"] == "relative":
            before = jnp.arange(time)[:, None] - jnp.arange(time)[None]
            rows = jnp.moveaxis(delta.sum(0), 0, 2).reshape(-1, heads)  # (queries keys, heads)
            table, kinds = call.params["distances"], distance_buckets(before, given["causal"]).reshape(-1)
            grads["distances"] = jax.ops.segment_sum(rows, kinds, table.shape[0]).astype(table.dtype)
        return Cotangents(input_grad, grads)

    shares = attended.shares
    shown = shares if mask is None else zero_padding(jnp.swapaxes(shares, 1, 2), mask).swapaxes(1, 2)
    return Step(out.y, {"qkv": mixed.state, "out": out.state}, vjp, attention=shown, drawn=keep)

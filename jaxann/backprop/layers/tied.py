"""The backward rule of logits by the table of the embedding."""

from __future__ import annotations

from jaxann import layers, ops
from jaxann.backprop.layers.dense import dense_vjp
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import Padded
from jaxann.core.typing import Array
from jaxann.layers.source import sequence_of

__all__ = []


@layer_rule(layers.tied_embedding)
def _tied_embedding(call: Call) -> Step:
    """Z = B E^T + b, B = body(E[id]):  dC/dE = G^T B + what the embedding has of it,  dC/dB = G E,  dC/db = sum of G.

    E is used twice, so its gradient is the sum of both uses: that of a dense layer whose weight is E^T, and that of the
    rows that were looked up.
    """
    embed = call.child("embed", call.x)
    ended = "ends_sequence" in call.layer.children["embed"].traits
    x, inner = embed.y, None if ended else call.context.sequence_mask
    x, inner = x if isinstance(x, Padded) else (x, inner)
    body = call.child("body", x, mask=inner)
    arisen = isinstance(embed.y, Padded) and not isinstance(body.y, Padded)
    own = {"weight": call.params["embed"]["weight"].T}
    if "bias" in call.params:
        own["bias"] = call.params["bias"]
    b, mask = sequence_of(Padded(body.y, inner) if arisen else body.y)
    z = ops.dense(b, own["weight"], own.get("bias"))

    def vjp(g: Array) -> Cotangents:
        above = dense_vjp(b, own, g)
        through = body.vjp(above.input_grad)
        below = embed.vjp(through.input_grad)
        both = below.grads["weight"] + above.grads["weight"].T
        grads = {"embed": {**below.grads, "weight": both}, "body": through.grads}
        if "bias" in own:
            grads["bias"] = above.grads["bias"]
        return Cotangents(below.input_grad, grads)

    return Step(z if mask is None else Padded(z, mask), {"embed": embed.state, "body": body.state}, vjp)

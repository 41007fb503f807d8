"""The backward rule of an encoder and a decoder."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.layers.encoder_decoder import sides
from jaxann.layers.source import Reading, sequence_of

__all__ = []


@layer_rule(layers.encoder_decoder)
def _encoder_decoder(call: Call) -> Step:
    """M = e(source),  y = h(d(t(target), M)): back through h and d, then through t to the target and e to the source.

    The source's gradient is the sum over all positions of the target and all blocks that read it; what it says goes on
    into the encoder.
    """
    given = sides("x", call.x)
    encoder = call.child("encoder", given.source, mask=given.real)
    embed = call.child("embed", given.x, mask=given.mask)
    inside = Reading(embed.y, given.mask, encoder.y, given.real).back(embed.y)
    decoder = call.child("decoder", inside, mask=None)
    head = call.child("head", sequence_of(decoder.y["x"])[0], mask=given.mask)
    steps = {"encoder": encoder, "embed": embed, "decoder": decoder, "head": head}

    def vjp(g: Any) -> Cotangents:
        got = {"head": head.vjp(g)}
        got["decoder"] = decoder.vjp({"x": got["head"].input_grad, "source": jnp.zeros_like(encoder.y)})
        below = got["decoder"].input_grad
        got["embed"], got["encoder"] = embed.vjp(below["x"]), encoder.vjp(below["source"])
        input_grad = {"source": got["encoder"].input_grad, "target": got["embed"].input_grad}
        return Cotangents(input_grad, {name: got[name].grads for name in steps})

    y = head.y if "ends_sequence" in call.layer.children["head"].traits else given.like(head.y)
    return Step(y, {name: step.state for name, step in steps.items()}, vjp)

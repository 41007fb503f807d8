"""The backward rule of a sequence read in both directions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import zero_padding
from jaxann.core.typing import Array
from jaxann.layers.bidirectional import flipped, keeps_positions, one_output

__all__ = []


@layer_rule(layers.bidirectional)
def _bidirectional(call: Call) -> Step:
    """y = merge(f(x), turned(b(turned(x)))):  each side gets its part of G, the second one turned round.

    To turn a sequence round is to exchange its positions, so it is its own transpose; dC/dx is the sum of both.
    """
    merge, inner = call.layer.arguments["merge"], call.layer.children["forward"]
    keeps = keeps_positions(inner, call.params["forward"], call.state["forward"], call.x)
    turn = flipped if keeps else lambda a: a
    first = call.child("forward", call.x)
    second = call.child("backward", flipped(call.x), flipped=True)
    y = one_output(merge, first.y, turn(second.y))

    def sides(g: Any) -> tuple[Any, Any]:
        if merge == "concatenate":
            return tuple(jax.tree.map(lambda a, i=i: jnp.split(a, 2, -1)[i], g) for i in (0, 1))
        half = g if merge == "sum" else jax.tree.map(lambda a: a / 2, g)
        return half, half

    def vjp(g: Any) -> Cotangents:
        one, two = sides(g)
        before, after = first.vjp(one), second.vjp(turn(two))
        input_grad = None
        if before.input_grad is not None:
            input_grad = jax.tree.map(jnp.add, before.input_grad, flipped(after.input_grad))
        return Cotangents(input_grad, {"forward": before.grads, "backward": after.grads})

    return Step(y, {"forward": first.state, "backward": second.state}, vjp)


@layer_rule(layers.both_ends)
def _both_ends(call: Call) -> Step:
    """y = (x_last, x_first), each of its half of the features:  dC/dx is G there, and 0 at all other positions."""
    y, state = call.apply()
    mask, x = call.context.sequence_mask, call.x
    places = jnp.arange(x.shape[1])[None]
    real = jnp.ones(x.shape[:2], bool) if mask is None else mask.astype(bool)
    last = real & (places == jnp.max(jnp.where(real, places, 0), 1)[:, None])
    first = real & (places == jnp.argmax(real, 1)[:, None])

    def vjp(g: Array) -> Cotangents:
        ahead, back = jnp.split(jnp.broadcast_to(g[:, None], x.shape), 2, -1)
        return Cotangents(jnp.concatenate([zero_padding(ahead, last), zero_padding(back, first)], -1), {})

    return Step(y, state, vjp)

"""The backward rule of a sequence read in both directions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
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

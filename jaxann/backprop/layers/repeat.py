"""The backward rule of blocks that stand one after the other in a loop."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.layers.repeat import check_block_shapes

__all__ = []


@layer_rule(layers.repeat)
def _repeat(call: Call) -> Step:
    """y = f_L(... f_1(x)):  G^(l-1) = (df_l/dA^(l-1))^T G^l for l = L, ..., 1, the gradients of all blocks stacked.

    The chain rule, as of `sequential`. The blocks are written out one by one here, so that the trace has each block's
    own numbers (`blocks.block.0`, `blocks.block.1`, ...): the program, unlike that of `apply`, grows with their number.
    """
    x, steps = call.x, []
    for block in range(call.layer.arguments["times"]):
        steps.append(call.child("block", x, block=block))
        check_block_shapes(x, steps[-1].y)
        x = steps[-1].y

    def vjp(g: Any) -> Cotangents:
        grads = []
        for step in reversed(steps):
            got = step.vjp(g)
            g = got.input_grad
            grads.insert(0, got.grads)
        return Cotangents(g, {"block": _stacked(grads)})

    return Step(x, {"block": _stacked([step.state for step in steps])}, vjp)


def _stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

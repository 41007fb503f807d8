"""The backward rule of a decoder's block."""

from __future__ import annotations

from typing import Any

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.typing import Array
from jaxann.layers.source import reading, sequence_of
from jaxann.layers.transformer import block_order

__all__ = []


@layer_rule(layers.decoder_block)
def _decoder_block(call: Call) -> Step:
    """u = x + f(x),  v = u + c(u, M),  y = v + g(v), each with its norm:

        dC/dv = G + (dg/dv)^T G,   dC/du = dC/dv + (dc/du)^T dC/dv,   dC/dx = dC/du + (df/du)^T dC/du
        dC/dM = (dc/dM)^T dC/dv,  and what the blocks after this one give back to the source that they were handed

    Each sum hands G on as it is, beside what went through the layer.
    """
    given, settings = reading("decoder_block", "x", call.x), call.layer.arguments
    first, drops = settings["norm_first"], settings["rate"] is not None
    steps: dict[str, Step] = {}

    def run(name: str, u: Array) -> Array:
        x = given.back(u) if name == "cross" else u
        steps[name] = call.child(name, x, mask=None if name == "cross" else given.mask)
        return sequence_of(steps[name].y)[0]

    y = block_order(run, given.x, first, drops)

    def vjp(g: Any) -> Cotangents:
        of_x, of_source, grads = g["x"], g["source"], {}

        def back(name: str, of_y: Array) -> Any:
            got = steps[name].vjp(of_y)
            grads[name] = got.grads
            return got.input_grad

        for i, name in reversed(list(enumerate(("attention", "cross", "feed")))):
            of_sum = of_x if first else back(f"norm{i}", of_x)
            below = back(name, back(f"drop{i}", of_sum) if drops else of_sum)
            if name == "cross":
                of_source, below = of_source + below["source"], below["x"]
            of_x = of_sum + (back(f"norm{i}", below) if first else below)
        return Cotangents({"x": of_x, "source": of_source}, {name: grads[name] for name in call.layer.children})

    return Step(given.back(y), {name: step.state for name, step in steps.items()}, vjp)

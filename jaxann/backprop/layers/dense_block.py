"""The backward rule of the block in which every layer sees all before it."""

from __future__ import annotations

from jax import lax

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.typing import Array
from jaxann.layers.dense_block import joined

__all__ = []


@layer_rule(layers.dense_block)
def _dense_block(call: Call) -> Step:
    """X_l = [X_(l-1), H_l(X_(l-1))]:  with G_l = [P, Q] cut where X_(l-1) ends,  G_(l-1) = P + (dH_l/dX_(l-1))^T Q.

    From the last layer to the first: Q is for the layer's own channels, P for those that it has only read. The P of the
    input's channels sums what every layer brings, and holds G itself: the way from the cost to each layer is short.
    """
    x, steps = call.x, []
    for name in call.layer.children:
        step = call.child(name, x)
        steps.append((name, x.shape[-1], step))
        x = joined(name, x, step.y)

    def vjp(g: Array) -> Cotangents:
        grads = {}
        for name, before, step in reversed(steps):
            straight, own = (lax.slice_in_dim(g, low, high, axis=-1) for low, high in ((0, before), (before, None)))
            got = step.vjp(own)
            g, grads[name] = straight + got.input_grad, got.grads
        return Cotangents(g, {name: grads[name] for name in call.layer.children})

    return Step(x, {name: step.state for name, _, step in steps}, vjp)

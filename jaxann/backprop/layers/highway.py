"""The backward rule of the highway layer."""

from __future__ import annotations

from jaxann import layers
from jaxann.backprop.layers.dense import dense_vjp
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.checks import fail
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.layers.highway import open_share

__all__ = []


@layer_rule(layers.highway)
def _highway(call: Call) -> Step:
    """y = T H + (1 - T) x,  T = sigmoid(Z),  Z = x W + b:  H gets T G, Z gets D = G (H - x) T (1 - T), x the rest.

    x reaches the cost on three ways, and its gradient is the sum of what they bring:

        dC/dx = (1 - T) G  +  (dH/dx)^T (T G)  +  D W^T

    W and b have the gradients of a dense layer, x^T D and the sum of the rows of D. Where the gate is shut, T = 0, G
    passes as it is and H learns nothing.
    """
    x, body, gate = call.x, call.child("body", call.x), call.params["gate"]
    share = open_share(gate, x)
    if body.y.shape != x.shape or body.y.dtype != x.dtype:
        expected = f"of the output shape of its input, {x.dtype} {x.shape}"
        fail("highway", "body", expected, f" {body.y.dtype} {body.y.shape}")

    def vjp(g: Array) -> Cotangents:
        dtype = wide_dtype(x.dtype)
        t, up = share.astype(dtype), g.astype(dtype)
        delta = (up * (body.y.astype(dtype) - x.astype(dtype)) * t * (1 - t)).astype(x.dtype)
        through, beside = body.vjp(share * g), dense_vjp(x, gate, delta)
        below = (1 - share) * g + through.input_grad + beside.input_grad
        return Cotangents(below, {"body": through.grads, "gate": beside.grads})

    return Step(share * body.y + (1 - share) * x, {"body": body.state}, vjp)

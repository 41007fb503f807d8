"""The backward rule of the layer that changes the resolution."""

from __future__ import annotations

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.typing import Array
from jaxann.ops.resize import along, matrices_of

__all__ = []


@layer_rule(layers.resize)
def _resize(call: Call) -> Step:
    """y = M x along each axis:  dC/dx = M^T G along each axis.

    An old place gets back from each new one what it has given to it, by the same weights; with "nearest" the sum over
    the new places that took it.
    """
    y, state = call.apply()
    arguments, x = call.layer.arguments, call.x
    settings = [arguments[name] for name in ("size", "scale", "method", "antialias")]
    found = matrices_of(x.shape[1:-1], *settings)

    def vjp(g: Array) -> Cotangents:
        for axis, matrix in enumerate(found, start=1):
            g = g if matrix is None else along(g, matrix.T, axis)
        return Cotangents(g.astype(x.dtype), {})

    return Step(y, state, vjp)

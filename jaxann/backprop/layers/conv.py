"""Backward rules of the convolutions.

With the three maps of `ops.conv_maps`: z = C(x, w), what every window sees; X(z, w), what every window gives back; and
W(x, z), each place of the window under the input, summed over all windows.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann import layers
from jaxann.backprop.layers.dense import sum_of_rows
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import zero_padding
from jaxann.core.typing import Array
from jaxann.ops.conv import filled, geometry_of, transposed
from jaxann.ops.conv_maps import convolve, input_gradient, weight_gradient

__all__ = ["given_back"]


@layer_rule(layers.depthwise_conv)
@layer_rule(layers.conv)
def _conv(call: Call) -> Step:
    """z = C(x, W) + b:  dC/dW = W(x, D),  dC/db = sum of D over examples and positions,  dC/dx = X(D, W).

    W[q, i, o] meets the cost through z[n, p, o] = sum over q, i of x[n, s p + d q - low, i] W[q, i, o] + b[o], at every
    position p of every example n:

        dC/dW[q, i, o] = sum over n, p of  x[n, s p + d q - low, i] D[n, p, o]
        dC/dx[n, r, i] = sum over the p, q with s p + d q - low = r, and o, of  D[n, p, o] W[q, i, o]

    The weights are shared by all positions, so their gradient is a sum over these; with a window of one place it is
    that of a dense layer. Where padded places hold numbers of x (circular, reflected, replicated), what they get is
    added to the places that those numbers came from.
    """
    z, state = call.apply()
    arguments, weight, x, mask = call.layer.arguments, call.params["weight"], call.x, call.context.sequence_mask
    if mask is not None:
        x = zero_padding(x, mask)
    groups = arguments.get("groups") or x.shape[-1] // weight.shape[-2]
    stride, padding, dilation = (arguments[name] for name in ("stride", "padding", "dilation"))
    whole = geometry_of("conv", x, weight, stride, padding, dilation, groups)
    mode = arguments["padding_mode"]
    wide, geometry = (x, whole) if mode == "zeros" else filled("conv", x, whole, mode)

    def vjp(delta: Array) -> Cotangents:
        grads = {"weight": weight_gradient(wide, delta, geometry)}
        if "bias" in call.params:
            grads["bias"] = sum_of_rows(delta)
        below = input_gradient(delta, weight, geometry)
        if mode != "zeros":
            for axis, pair in enumerate(whole.windows.pads, start=1):
                below = given_back(below, axis, pair, mode)
        return Cotangents(below if mask is None else zero_padding(below, mask), grads, delta)

    return Step(z, state, vjp)


def given_back(wide: Array, axis: int, pair: tuple[int, int], mode: str) -> Array:
    """What padded places got, added to the places that they were taken from."""
    low, high = pair
    n = wide.shape[axis] - low - high
    before, own, after = (lax.slice_in_dim(wide, a, b, axis=axis)
                          for a, b in ((0, low), (low, low + n), (low + n, low + n + high)))  # fmt: skip

    def onto(piece: Array, start: int) -> Array:
        """A piece at its place among n."""
        pads = [(0, 0, 0)] * wide.ndim
        pads[axis] = (start, n - start - piece.shape[axis], 0)
        return lax.pad(piece, jnp.zeros((), piece.dtype), pads)

    if mode == "circular":
        return own + onto(before, n - low) + onto(after, 0)
    if mode == "reflect":
        return own + onto(jnp.flip(before, axis), 1) + onto(jnp.flip(after, axis), n - 1 - high)
    first, last = (jnp.sum(piece, axis, keepdims=True) for piece in (before, after))
    return own + onto(first, 0) + onto(last, n - 1)


@layer_rule(layers.conv_transpose)
def _conv_transpose(call: Call) -> Step:
    """z = X(x, W) + b:  dC/dW = W(D, x),  dC/db = sum of D,  dC/dx = C(D, W).

    The transpose of a linear map is the map itself when transposed once more: what a place of x has given to its window
    comes back through the same weights, a convolution.
    """
    z, state = call.apply()
    arguments, weight = call.layer.arguments, call.params["weight"]
    settings = [arguments[name] for name in ("stride", "padding", "output_padding", "dilation", "groups")]
    geometry = transposed("conv_transpose", call.x, weight, *settings)

    def vjp(delta: Array) -> Cotangents:
        grads = {"weight": weight_gradient(delta, call.x, geometry)}
        if "bias" in call.params:
            grads["bias"] = sum_of_rows(delta)
        return Cotangents(convolve(delta, weight, geometry), grads, delta)

    return Step(z, state, vjp)

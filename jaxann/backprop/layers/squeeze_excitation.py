"""The backward rule of squeeze and excitation."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from jaxann import layers, ops
from jaxann.activations import by_name
from jaxann.backprop.layers.dense import dense_vjp
from jaxann.backprop.registry import activation_vjp, layer_rule, through_activation
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import zero_padding
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.ops.pool import mean_of_places

__all__ = []


@layer_rule(layers.squeeze_excitation, function=lambda layer: by_name(layer.arguments["activation"]))
def _squeeze_excitation(call: Call) -> Step:
    """y = s x,  s = g(U),  U = A W + b,  A = f(Z),  Z = m V + a,  m = mean of x over the N places.

    s scales all places of a channel, so its gradient is a sum over them, and goes down through two dense layers:

        dC/ds[n, c] = sum over p of  G[n, p, c] x[n, p, c]
        dC/dx[n, p, c] = s[n, c] G[n, p, c] + (dC/dm)[n, c] / N

    The second term is the same at every place: each has the share 1 / N in the mean. Of padded sequences N counts the
    real positions, and padded ones get 0.
    """
    y, state = call.apply()
    mask, places, arguments = call.context.sequence_mask, range(1, call.x.ndim - 1), call.layer.arguments
    x = call.x if mask is None else zero_padding(call.x, mask)
    squeeze, excite = call.params["squeeze"], call.params["excite"]
    inner, outer = by_name(arguments["activation"]), by_name(arguments["gate"])
    (inner_vjp, inner_settings), (outer_vjp, outer_settings) = (
        activation_vjp(function, "backprop.backward", f"{argument} of squeeze_excitation")
        for argument, function in (("activation", inner), ("gate", outer))
    )
    mean = mean_of_places(x, mask).astype(x.dtype)
    z = ops.dense(mean, squeeze["weight"], squeeze["bias"])
    hidden = inner(z)
    u = ops.dense(hidden, excite["weight"], excite["bias"])
    share = outer(u)

    def everywhere(of_channels: Array) -> Array:
        return jnp.broadcast_to(lax.expand_dims(of_channels, places), x.shape)

    def vjp(g: Array) -> Cotangents:
        dtype = wide_dtype(x.dtype)
        by_share = jnp.sum(g.astype(dtype) * x.astype(dtype), tuple(places)).astype(x.dtype)
        top = dense_vjp(hidden, excite, through_activation(outer, outer_vjp, outer_settings, u, share, by_share))
        delta = through_activation(inner, inner_vjp, inner_settings, z, hidden, top.input_grad)
        low = dense_vjp(mean, squeeze, delta)
        count = jnp.asarray(math.prod(x.shape[1:-1]), dtype)
        if mask is not None:
            real = jnp.sum(mask.astype(bool), 1, dtype=dtype) * math.prod(x.shape[2:-1])
            count = jnp.broadcast_to(jnp.maximum(real, 1)[:, None], mean.shape)
        below = everywhere(share) * g + everywhere((low.input_grad.astype(dtype) / count).astype(x.dtype))
        return Cotangents(
            below if mask is None else zero_padding(below, mask), {"squeeze": low.grads, "excite": top.grads}
        )

    return Step(y, state, vjp)

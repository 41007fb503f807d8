"""Backward rules of the normalizations."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from jaxann import layers, ops
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.modes import TrainMode
from jaxann.core.padding import real_places
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.ops.norm import inverse_deviation

__all__ = []


@layer_rule(layers.batch_norm)
def _batch_norm(call: Call) -> Step:
    """y = s u + b, u = (x - m) r, r = (v + eps)^-1/2:  dC/ds = sum u G,  dC/db = sum G,  H = s G = dC/du, and

        dC/dx = r (H - mean(H) - u mean(u H))     m, v the batch's
        dC/dx = r H                               m, v the running ones: constants

    Sums and means run over the n examples (and places) of a channel. All of them meet in m and v:

        dC/dv = sum H (x - m) (-1/2) r^3          = -(n/2) r^2 mean(u H)
        dC/dm = -r sum H                          (v changes with m too, but by sum (x - m) = 0)
        dv/dx = 2 (x - m) / n,  dm/dx = 1 / n

    and r H + dC/dv dv/dx + dC/dm dm/dx is the line above. So the gradient of a batch has mean 0 and is orthogonal to
    u: a shift or a stretch of all examples would change nothing. Padding, of the batch or of a sequence, counts in no
    mean and gets the gradient 0.
    """
    y, state = call.apply()
    settings, old = call.layer.arguments, call.state
    mask = real_places(call.context.example_mask, call.context.sequence_mask)
    resting = not call.train or settings["frozen"] or call.train is TrainMode.NOISE
    x = call.x
    kept = None
    if call.train and mask is not None:
        kept = jnp.broadcast_to(lax.expand_dims(mask.astype(bool), range(mask.ndim, x.ndim)), x.shape)
        x = jnp.where(kept, x, jnp.zeros((), x.dtype))

    def vjp(g: Array) -> Cotangents:
        axes, wide = tuple(range(x.ndim - 1)), wide_dtype(x.dtype)
        mean, variance, count = (old["mean"], old["var"], None) if resting else ops.moments(x, mask)
        wide = mean.dtype if resting else wide
        r = inverse_deviation(variance, settings["eps"])
        scale = call.params["scale"].astype(wide)

        def each(vector: Array) -> Array:
            return jnp.broadcast_to(vector, x.shape)

        u, upper = (x.astype(wide) - each(mean)) * each(r), g.astype(wide)
        by_scale, by_bias = jnp.sum(u * upper, axes), jnp.sum(upper, axes)
        h = upper * each(scale)
        if count is None:
            below = h * each(r)
        else:
            n = jnp.maximum(count, 1)
            below = (h - each(scale * by_bias / n) - u * each(scale * by_scale / n)) * each(r)
        if kept is not None:
            below = jnp.where(kept, below, 0)
        grads = {"scale": by_scale.astype(scale.dtype), "bias": by_bias}
        grads = {name: value.astype(call.params[name].dtype) for name, value in grads.items()}
        return Cotangents(below.astype(x.dtype), grads)

    return Step(y, state, vjp)

"""Backward rules of the layers whose weight is made of another one.

The layer inside is run backward with the weight W that was made, by its own rule, and gives G = dC/dW; what is left is
to go from W to what it was made of. A trace has no entry for the layer inside, whose own weight is not the one it works
with: its gradients stand with the layer around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxann import layers, ops
from jaxann.backprop.layers.norm import through_statistics
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.modes import TrainMode
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array, Params
from jaxann.layers.weight_norm import output_axis
from jaxann.ops.norm import standardize
from jaxann.ops.weight_norm import other_axes, over_rows, row_length, row_sum, spectral_value

__all__ = []


@layer_rule(layers.weight_standardized)
def _weight_standardized(call: Call) -> Step:
    """W = s u, u = (w - m) r of each output's row:  dC/ds = sum u G,  H = s G,  dC/dw = r (H - mean(H) - u mean(u H)).

    Sums and means run over the row: the rule of `layer_norm`, for a weight in the place of x.
    """
    w, axis, eps = _given(call)
    scale = call.params.get("scale")
    found = standardize(w, other_axes(w, axis), eps)
    made = ops.weight_standardized(call.params["layer"]["weight"], scale, axis=axis, eps=eps)

    def through(g: Array) -> tuple[Array, Params]:
        if scale is None:
            return through_statistics(found, g, other_axes(g, axis)), {}
        h = g * over_rows(scale.astype(g.dtype), g, axis)
        return through_statistics(found, h, other_axes(g, axis)), {"scale": row_sum(found.values * g, axis)}

    return _through_weight(call, made, {}, through)


@layer_rule(layers.weight_norm)
def _weight_norm(call: Call) -> Step:
    """W = s v / l, l = |v| of each output's row:  dC/ds = sum v G / l,  dC/dv = s (G - v sum(v G) / l^2) / l.

    dl/dv = v / l, and dC/dl = -s sum(v G) / l^2. So dC/dv is orthogonal to v: a step along it changes the length by the
    second order alone. Where l is eps in the place of |v|, the second term is 0.
    """
    v, axis, eps = _given(call)
    scale = call.params["scale"]
    length = row_length(v, axis, eps)
    made = ops.weight_norm(call.params["layer"]["weight"], scale, axis=axis, eps=eps)
    long = row_sum(v * v, axis) > jnp.square(jnp.asarray(eps, v.dtype))

    def through(g: Array) -> tuple[Array, Params]:
        along = row_sum(v * g, axis) / length
        h = g - v * over_rows(jnp.where(long, along / length, 0), v, axis)
        return h * over_rows(scale.astype(g.dtype) / length, v, axis), {"scale": along}

    return _through_weight(call, made, {}, through)


@layer_rule(layers.spectral_norm)
def _spectral_norm(call: Call) -> Step:
    """W = w / sigma, sigma = u w v:  dC/dw = (G - sum(W G) u v') / sigma, u and v being constants.

    dsigma/dw = u v', and dC/dsigma = -sum(w G) / sigma^2 = -sum(W G) / sigma. At the singular vectors themselves a
    change of u or v would change sigma by the second order alone: to take them for constants is right there.
    """
    w, axis, eps = _given(call)
    weight, u, v = call.params["layer"]["weight"], call.state["u"], call.state["v"]
    if call.train and call.train is not TrainMode.NOISE:
        u, v = ops.power_iteration(weight, u, v, axis=axis, n_steps=call.layer.arguments["n_steps"], eps=eps)
    made, kept = ops.spectral_norm(weight, u, v, axis=axis), {"u": u, "v": v}
    u, v = u.astype(w.dtype), v.astype(w.dtype)
    sigma = spectral_value(w, u, v, axis)
    factor = jnp.broadcast_to(jnp.where(sigma == 0, 0, 1 / jnp.where(sigma == 0, 1, sigma)), w.shape)

    def through(g: Array) -> tuple[Array, Params]:
        outer = over_rows(u, w, axis) * jnp.broadcast_to(jnp.expand_dims(v, axis), w.shape)
        along = jnp.broadcast_to(jnp.sum(w * factor * g), w.shape)
        return (g - along * outer) * factor, {}

    return _through_weight(call, made, kept, through)


def _given(call: Call) -> tuple[Array, int, Any]:
    """The weight in float32 or better, the axis of its outputs, and eps."""
    weight = call.params["layer"]["weight"]
    axis = output_axis(call.layer.arguments["layer"]) % weight.ndim
    return weight.astype(wide_dtype(weight.dtype)), axis, call.layer.arguments["eps"]


def _through_weight(call: Call, made: Array, kept: Params, through: Callable[[Array], tuple[Array, Params]]) -> Step:
    """The step of the layer inside with the weight that was made.

    Args:
        call: of the layer around it.
        made: the weight to work with.
        kept: the state after, of the layer around.
        through: from dC/dW to the gradients of the layer's own weight and of the other parameters.
    """
    own = call.params["layer"]["weight"]
    step = call.child("layer", call.x, given={**call.params["layer"], "weight": made})

    def vjp(g: Any) -> Cotangents:
        below = step.vjp(g)
        by_weight, others = through(below.grads["weight"].astype(wide_dtype(own.dtype)))
        grads = {name: value.astype(call.params[name].dtype) for name, value in others.items()}
        return Cotangents(below.input_grad, {"layer": {**below.grads, "weight": by_weight.astype(own.dtype)}, **grads})

    return Step(step.y, {"layer": step.state, **kept}, vjp)

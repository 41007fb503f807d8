"""Backward rules of the columns of a table."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.layers.columns import category_rows, column_product, wave_angles

__all__ = []


@layer_rule(layers.column_dense)
def _column_dense(call: Call) -> Step:
    """z_j = x_j W_j + b_j:  dC/dW_j = x_j^T G_j,  dC/db_j = sum of the rows of G_j,  dC/dx_j = G_j W_j^T."""
    z, state = call.apply()
    weight = call.params["weight"]

    def vjp(g: Array) -> Cotangents:
        x = call.x[..., None] if call.x.ndim == 2 else call.x
        turned = jnp.transpose(x, (2, 1, 0))  # features, columns, batch
        grads = {"weight": jnp.swapaxes(column_product(turned, jnp.swapaxes(g, 0, 1)), 0, 1)}
        if "bias" in call.params:
            grads["bias"] = jnp.sum(g, 0, dtype=wide_dtype(g.dtype)).astype(g.dtype)
        return Cotangents(column_product(g, jnp.swapaxes(weight, 1, 2)).reshape(call.x.shape), grads)

    return Step(z, state, vjp)


@layer_rule(layers.periodic_embedding)
def _periodic_embedding(call: Call) -> Step:
    """y = (cos a, sin a) with a = 2 pi c x:  dC/da = -sin a G_cos + cos a G_sin,  dC/dc and dC/dx = 2 pi x, c dC/da."""
    y, state = call.apply()
    weight = call.params["weight"]

    def vjp(g: Array) -> Cotangents:
        half = weight.shape[1]
        wide = g.astype(wide_dtype(g.dtype))
        angle = 2 * math.pi * (y[..., :half] * wide[..., half:] - y[..., half:] * wide[..., :half])
        own = jnp.sum(angle * jnp.broadcast_to(call.x[..., None], angle.shape), 0)
        through = jnp.sum(angle * jnp.broadcast_to(weight[None], angle.shape), -1)
        return Cotangents(through.astype(call.x.dtype), {"weight": own.astype(weight.dtype)})

    return Step(y, state, vjp)


@layer_rule(layers.phase_embedding)
def _phase_embedding(call: Call) -> Step:
    """y = cos a with a = 2 pi c x + b:  dC/da = -sin a G,  dC/db = dC/da,  dC/dc and dC/dx = 2 pi x, 2 pi c dC/da."""
    y, state = call.apply()
    weight, bias = call.params["weight"], call.params["bias"]

    def vjp(g: Array) -> Cotangents:
        angle = -jnp.sin(wave_angles(call.x, weight, bias)) * g.astype(wide_dtype(g.dtype))
        turn = 2 * math.pi * angle
        own = jnp.sum(turn * jnp.broadcast_to(call.x[..., None].astype(turn.dtype), turn.shape), 0)
        through = jnp.sum(turn * jnp.broadcast_to(weight[None].astype(turn.dtype), turn.shape), -1)
        grads = {"weight": own.astype(weight.dtype), "bias": jnp.sum(angle, 0).astype(bias.dtype)}
        return Cotangents(through.astype(call.x.dtype), grads)

    return Step(y, state, vjp)


@layer_rule(layers.category_embedding)
def _category_embedding(call: Call) -> Step:
    """y_ij = E[row of code_ij]:  dC/dE[k] = sum of the G of all places whose row is k; codes have no dC/dx."""
    y, state = call.apply()
    weight = call.params["weight"]

    def vjp(g: Array) -> Cotangents:
        rows, known = category_rows(call.x, call.layer.arguments["sizes"])
        wide = jnp.where(jnp.broadcast_to(known[..., None], g.shape), g, 0).astype(wide_dtype(g.dtype))
        summed = jax.ops.segment_sum(wide.reshape(-1, g.shape[-1]), rows.reshape(-1), weight.shape[0])
        return Cotangents(None, {"weight": summed.astype(weight.dtype)})

    return Step(y, state, vjp)

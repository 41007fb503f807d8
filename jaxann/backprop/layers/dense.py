"""Backward rules of the dense layers, and of the change of shape before them."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import zero_padding
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.ops.dense import input_gradient, weight_gradient

__all__ = ["dense_vjp", "rows", "sum_of_rows"]


def rows(x: Array) -> Array:
    """All axes but the last as one."""
    return x.reshape(-1, x.shape[-1])


def sum_of_rows(delta: Array) -> Array:
    """The sum over all axes but the last, in float32 or better."""
    return jnp.sum(rows(delta), 0, dtype=wide_dtype(delta.dtype)).astype(delta.dtype)


def dense_vjp(x: Array, params: dict[str, Array], delta: Array) -> Cotangents:
    """Everything a dense layer's D = dC/dZ gives: dC/dW = x^T D, dC/db = sum of the rows of D, dC/dx = D W^T."""
    grads = {"weight": weight_gradient(rows(x), rows(delta))}
    if "bias" in params:
        grads["bias"] = sum_of_rows(delta)
    return Cotangents(input_gradient(rows(delta), params["weight"]).reshape(x.shape), grads, delta)


@layer_rule(layers.dense)
def _dense(call: Call) -> Step:
    """Z = A W + b:  dC/dW = A^T D,  dC/db = sum of the rows of D,  dC/dA = D W^T.

    W_jk meets the cost through Z_ik = sum_j A_ij W_jk + b_k alone, once in each example i, and dZ_ik/dW_jk = A_ij:

        dC/dW_jk = sum_i D_ik A_ij,    dC/db_k = sum_i D_ik,    dC/dA_ij = sum_k D_ik W_jk

    The last sum runs over all units that read A_ij. W is the one of the forward pass, before any update.
    """
    z, state = call.apply()
    return Step(z, state, lambda delta: dense_vjp(call.x, call.params, delta))


@layer_rule(layers.flatten)
def _flatten(call: Call) -> Step:
    """y = x in another shape:  dC/dx = G in the shape of x, 0 at padded positions, which are 0 in y too."""
    y, state = call.apply()
    mask = call.context.sequence_mask

    def vjp(g: Array) -> Cotangents:
        g = g.reshape(call.x.shape)
        return Cotangents(g if mask is None else zero_padding(g, mask), {})

    return Step(y, state, vjp)

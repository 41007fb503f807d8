"""Backward rules of the dense layers, and of the change of shape before them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann import ops
from jaxann.backprop.rules import Back, Call, Step
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array
from jaxann.ops.dense import input_gradient, weight_gradient

__all__ = ["dense", "dense_back", "drop_connect_dense", "flatten", "rows", "sum_of_rows"]


def rows(x: Array) -> Array:
    """All axes but the last as one."""
    return x.reshape(-1, x.shape[-1])


def sum_of_rows(delta: Array) -> Array:
    """The sum over all axes but the last, in float32 or better."""
    return jnp.sum(rows(delta), 0, dtype=wide_dtype(delta.dtype)).astype(delta.dtype)


def dense_back(x: Array, params: dict[str, Array], delta: Array) -> Back:
    """Everything a dense layer's D = dC/dZ gives: dC/dW = x^T D, dC/db = sum of the rows of D, dC/dx = D W^T."""
    grads = {"weight": weight_gradient(rows(x), rows(delta))}
    if "bias" in params:
        grads["bias"] = sum_of_rows(delta)
    return Back(input_gradient(rows(delta), params["weight"]).reshape(x.shape), grads, delta)


def dense(call: Call) -> Step:
    """Z = A W + b:  dC/dW = A^T D,  dC/db = sum of the rows of D,  dC/dA = D W^T.

    W_jk meets the cost through Z_ik = sum_j A_ij W_jk + b_k alone, once in each example i, and dZ_ik/dW_jk = A_ij:

        dC/dW_jk = sum_i D_ik A_ij,    dC/db_k = sum_i D_ik,    dC/dA_ij = sum_k D_ik W_jk

    The last sum runs over all units that read A_ij. W is the one of the forward pass, before any update.
    """
    z, state = call.apply()
    return Step(z, state, lambda delta: dense_back(call.x, call.params, delta))


def drop_connect_dense(call: Call) -> Step:
    """Z = A (W * M) + b, M = mask / (1 - rate):  dC/dW = (A^T D) * M,  dC/dA = D (W * M)^T.

    Dropping is a diagonal linear map of the weights, W -> W * M, and so its own transpose: the gradient that the dense
    layer gives for W * M goes through the same mask. With a mask for each example,

        dC/dW = sum_i (a_i^T d_i) * M_i

    In evaluation M = 1: the rule of the dense layer.
    """
    z, state = call.apply()
    settings, x, params = call.layer.arguments, call.x, call.params
    rate = settings["rate"]

    def of(x: Array, delta: Array, key: Array) -> Back:
        dropped = {**params, "weight": ops.dropout(params["weight"], key, rate)}
        got = dense_back(x, dropped, delta)
        return got._replace(grads={**got.grads, "weight": ops.dropout(got.grads["weight"], key, rate)})

    def back(delta: Array) -> Back:
        if not call.train or call.key is None:
            return dense_back(x, params, delta)
        if not settings["per_example"] or x.ndim < 2:
            return of(x, delta, call.key)
        each = jax.vmap(of)(x, delta, jax.random.split(call.key, x.shape[0]))
        return Back(each.input_grad, jax.tree.map(lambda g: jnp.sum(g, 0), each.grads), delta)

    return Step(z, state, back)


def flatten(call: Call) -> Step:
    """y = x in another shape:  dC/dx = G in the shape of x. Every number keeps its place in the row."""
    y, state = call.apply()
    return Step(y, state, lambda g: Back(g.reshape(call.x.shape), {}))

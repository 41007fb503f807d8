"""The backward rule of the dense layer whose weights are dropped."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxann import layers, ops
from jaxann.backprop.layers.dense import dense_vjp
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.typing import Array

__all__ = []


@layer_rule(layers.drop_connect_dense)
def _drop_connect_dense(call: Call) -> Step:
    """Z = A (W * M) + b, M = mask / (1 - rate):  dC/dW = (A^T D) * M,  dC/dA = D (W * M)^T.

    Dropping is a diagonal linear map of the weights, W -> W * M, and so its own transpose: the gradient that the dense
    layer gives for W * M goes through the same mask. With a mask for each example,

        dC/dW = sum_i (a_i^T d_i) * M_i

    In evaluation M = 1: the rule of the dense layer.
    """
    z, state = call.apply()
    settings, x, params = call.layer.arguments, call.x, call.params
    rate = settings["rate"]

    def of(x: Array, delta: Array, key: Array) -> Cotangents:
        dropped = {**params, "weight": ops.dropout(params["weight"], key, rate)}
        got = dense_vjp(x, dropped, delta)
        return got._replace(grads={**got.grads, "weight": ops.dropout(got.grads["weight"], key, rate)})

    def vjp(delta: Array) -> Cotangents:
        if not call.train or call.key is None:
            return dense_vjp(x, params, delta)
        if not settings["per_example"] or x.ndim < 2:
            return of(x, delta, call.key)
        each = jax.vmap(of)(x, delta, jax.random.split(call.key, x.shape[0]))
        return Cotangents(each.input_grad, jax.tree.map(lambda g: jnp.sum(g, 0), each.grads), delta)

    return Step(z, state, vjp)

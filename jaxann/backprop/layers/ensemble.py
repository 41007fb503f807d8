"""Backward rules of the layers with an axis of members, `(..., members, features)`."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import layers, ops
from jaxann.backprop.layers.dense import dense_vjp
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Array

__all__ = []


@layer_rule(layers.repeat_members)
def _repeat_members(call: Call) -> Step:
    """y_k = x for each member k:  dC/dx = sum_k G_k, for all copies are the one x."""
    y, state = call.apply()
    wide = wide_dtype(y.dtype)
    return Step(y, state, lambda g: Cotangents(jnp.sum(g, -2, dtype=wide).astype(g.dtype), {}))


@layer_rule(layers.batch_ensemble_dense)
def _batch_ensemble_dense(call: Call) -> Step:
    """Z_k = V_k * s_k + b_k, V_k = U_k W, U_k = A_k * r_k, for each member k.

        dC/db_k = sum D_k     dC/ds_k = sum D_k V_k     dC/dV_k = D_k s_k
        dC/dW = sum_k U_k^T dC/dV_k     dC/dU_k = dC/dV_k W^T
        dC/dr_k = sum A_k dC/dU_k       dC/dA_k = dC/dU_k r_k

    Sums without an index run over the examples. W is shared: its gradient is the sum of all members'.
    """
    z, state = call.apply()
    x, params = call.x, call.params

    def vjp(delta: Array) -> Cotangents:
        r = jnp.broadcast_to(params["input"]["scale"], x.shape)
        s = jnp.broadcast_to(params["output"]["scale"], delta.shape)
        shared = {"weight": params["weight"]}
        u = x * r
        inner = dense_vjp(u, shared, delta * s)
        v = ops.dense(u, params["weight"])
        grads = {
            **inner.grads,
            "input": {"scale": _over_examples(x * inner.input_grad)},
            "output": {"scale": _over_examples(v * delta)},
        }
        if "bias" in params:
            grads["bias"] = _over_examples(delta)
        return Cotangents(inner.input_grad * r, grads)

    return Step(z, state, vjp)


@layer_rule(layers.packed_dense)
def _packed_dense(call: Call) -> Step:
    """Z_k = A_k W_k + b_k for each member k:  dC/dW_k = A_k^T D_k,  dC/db_k = sum D_k,  dC/dA_k = D_k W_k^T.

    The dense rule, once for each member: nothing is shared.
    """
    z, state = call.apply()
    x, params = call.x, call.params

    def vjp(delta: Array) -> Cotangents:
        wide = wide_dtype(x.dtype)
        members = x.shape[-2]
        rows, above = (a.reshape(-1, members, a.shape[-1]) for a in (x, delta))
        by_weight = jnp.einsum("nki,nko->kio", rows, above, preferred_element_type=wide)
        below = jnp.einsum("nko,kio->nki", above, params["weight"], preferred_element_type=wide)
        grads = {"weight": by_weight.astype(x.dtype)}
        if "bias" in params:
            grads["bias"] = _over_examples(delta)
        return Cotangents(below.astype(x.dtype).reshape(x.shape), grads)

    return Step(z, state, vjp)


def _over_examples(terms: Array) -> Array:
    """The sum over all axes but those of the members and the features."""
    wide = wide_dtype(terms.dtype)
    return jnp.sum(terms.reshape(-1, *terms.shape[-2:]), 0, dtype=wide).astype(terms.dtype)

"""The highway layer: a gate says how much of its input passes by."""

from __future__ import annotations

import jax.numpy as jnp

from jaxann import ops
from jaxann.activations import sigmoid
from jaxann.core.checks import check_floating, check_range, fail
from jaxann.core.factories import factory
from jaxann.core.keys import fold_name
from jaxann.core.products import Initializer, Layer
from jaxann.core.typing import Array, Params, Scalar
from jaxann.initializers import lecun_normal
from jaxann.layers.base import as_layer, composite, init_child, run_child, step_child

__all__ = ["highway", "open_share"]


@factory(Layer, convert={"body": lambda v: as_layer(v, "highway", "body")})
def highway(body: Layer, *, gate_bias: Scalar = -2.0, kernel_init: Initializer | None = None):
    """y = T * body(x) + (1 - T) * x,  T = sigmoid(x W + b), a share of each feature at each position.

    At first T is about 0.12: a deep stack begins as the identity, and each layer opens where it helps.

    Args:
        body: H, any layer whose output has the shape of its input.
        gate_bias: what b begins with, customarily -1 to -3, the deeper the stack the lower.
        kernel_init: distribution of W, `lecun_normal()` when None.

    Input and output `(..., features)`. Parameters: the body's under `body`; `gate.weight` `(features, features)` and
    `gate.bias` `(features,)`. On images the gate is a convolution of one place.

    Peers: none of PyTorch, Keras and flax has it.

    Source: Srivastava, Greff and Schmidhuber 2015.

    Raises:
        InputError: gate_bias is no number, body is no layer, or its output has another shape than its input.
    """
    check_range("highway", "gate_bias", gate_bias)

    def init(key, spec):
        check_floating("highway", "spec", spec)
        if len(spec.shape) == 0 or spec.shape[-1] < 1:
            fail("highway", "spec", "of shape (..., features) with at least one feature", f" shape {tuple(spec.shape)}")
        n = spec.shape[-1]
        weight = (kernel_init or lecun_normal())(fold_name(fold_name(key, "gate"), "weight"), (n, n), spec.dtype)
        params, state = init_child(body, "body", key, spec)
        bias = jnp.broadcast_to(jnp.asarray(gate_bias, spec.dtype), (n,))
        return {"body": params, "gate": {"weight": weight, "bias": bias}}, {"body": state}

    def mixed(params, x, y):
        share = open_share(params["gate"], x)
        if y.shape != x.shape or y.dtype != x.dtype:
            fail("highway", "body", f"of the output shape of its input, {x.dtype} {x.shape}", f" {y.dtype} {y.shape}")
        return share * y + (1 - share) * x

    def apply(params, state, x, **context):
        y, after = run_child(body, "body", params, state, x, **context)
        return mixed(params, x, y), {"body": after}

    def step(params, carry, x, *, state=None):
        y, after = step_child("highway.step", body, "body", params, carry, x, state)
        return mixed(params, x, y), after

    return composite("highway", init, apply, {"body": body}, step)


def open_share(gate: Params, x: Array) -> Array:
    """T = sigmoid(x W + b).

    Raises:
        InputError: x does not fit the weight.
    """
    weight = gate["weight"]
    if x.ndim == 0 or x.shape[-1] != weight.shape[0]:
        fail("highway", "x", f"of shape (..., {weight.shape[0]})", f" shape {x.shape}")
    if x.dtype != weight.dtype:
        fail("highway", "x", f"of the weight's dtype {weight.dtype}", f" {x.dtype}")
    return sigmoid(ops.dense(x, weight, gate["bias"]))

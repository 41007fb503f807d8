"""The backward rule of a recurrence that looks into a source."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.layers.source import reading, sequence_of

__all__ = []


@layer_rule(layers.attentive_recurrence)
def _attentive_recurrence(call: Call) -> Step:
    """h = r(x),  c = a(h, M),  y = tanh(Z), Z = (h, c) W + b:  D = dC/dZ = (1 - y^2) G, and with (P, Q) = D W^T

    dC/dh = P + (da/dh)^T Q,    dC/dM = (da/dM)^T Q,    dC/dx = (dr/dx)^T dC/dh
    """
    given = reading("attentive_recurrence", "x", call.x)
    recurrence = call.child("recurrence", given.x, mask=given.mask)
    cross = call.child("cross", given.back(recurrence.y), mask=None)
    combined = call.child("combine", jnp.concatenate([recurrence.y, sequence_of(cross.y)[0]], -1), mask=given.mask)
    y, width = jnp.tanh(combined.y), recurrence.y.shape[-1]
    steps = {"recurrence": recurrence, "cross": cross, "combine": combined}

    def vjp(g: Any) -> Cotangents:
        got = {"combine": combined.vjp((1 - y * y) * g["x"])}
        joined = got["combine"].input_grad
        got["cross"] = cross.vjp(joined[..., width:])
        got["recurrence"] = recurrence.vjp(joined[..., :width] + got["cross"].input_grad["x"])
        of_source = g["source"] + got["cross"].input_grad["source"]
        input_grad = {"x": got["recurrence"].input_grad, "source": of_source}
        return Cotangents(input_grad, {name: got[name].grads for name in steps})

    return Step(given.back(y), {name: step.state for name, step in steps.items()}, vjp)

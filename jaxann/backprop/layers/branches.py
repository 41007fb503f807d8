"""Backward rules of the layers of several inputs and several results, whose x and G are dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxann import layers
from jaxann.backprop.registry import layer_rule
from jaxann.backprop.step import Call, Cotangents, Step
from jaxann.core.padding import Padded

__all__ = []


@layer_rule(layers.parallel)
def _parallel(call: Call) -> Step:
    """y[name] = f_name(x[name]) for each name:  dC/dx[name] = (df_name/dx)^T G[name], each by itself."""
    return _each(call, call.x, lambda below: below)


@layer_rule(layers.branch)
def _branch(call: Call) -> Step:
    """y[name] = f_name(x) for each name:  dC/dx = sum over the names of (df_name/dx)^T G[name]."""

    def summed(below: Mapping[str, Any]) -> Any:
        first, *rest = below.values()
        for one in rest:
            first = jax.tree.map(jnp.add, first, one)
        return first

    return _each(call, dict.fromkeys(call.layer.children, call.x), summed)


@layer_rule(layers.concatenate)
def _concatenate(call: Call) -> Step:
    """y = (x_1, x_2, ...) side by side:  dC/dx_i = the columns of G where x_i stands."""
    y, state = call.apply()
    names, named = call.layer.arguments["names"], isinstance(call.x, Mapping)
    order = (names or sorted(call.x)) if named else range(len(call.x))
    ends, end = {}, 0
    for name in order:
        one = call.x[name]
        ends[name] = (end, end + (one.values if isinstance(one, Padded) else one).shape[-1])
        end = ends[name][1]

    def vjp(g: Any) -> Cotangents:
        below = {name: g[..., low:high] for name, (low, high) in ends.items()}
        return Cotangents(below if named else tuple(below.values()), {})

    return Step(y, state, vjp)


def _each(call: Call, inputs: Mapping[str, Any], joined: Callable[[Mapping[str, Any]], Any]) -> Step:
    steps = {name: call.child(name, inputs[name]) for name in call.layer.children}

    def vjp(g: Mapping[str, Any]) -> Cotangents:
        got = {name: step.vjp(g[name]) for name, step in steps.items()}
        below = joined({name: one.input_grad for name, one in got.items()})
        return Cotangents(below, {name: one.grads for name, one in got.items()})

    y = {}
    for name, step in steps.items():
        x = inputs[name]
        mask = x.mask if isinstance(x, Padded) else call.context.sequence_mask
        keeps = mask is not None and "ends_sequence" not in call.layer.children[name].traits
        y[name] = Padded(step.y, mask) if keeps else step.y
    return Step(y, {name: step.state for name, step in steps.items()}, vjp)

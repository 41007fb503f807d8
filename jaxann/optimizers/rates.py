"""The learning rate in force at every leaf, for rules that need the length of the step beside its direction."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Params
from jaxann.optimizers.base import learning_rate_at
from jaxann.optimizers.masking import first_match, meant, merged, pruned
from jaxann.optimizers.per_leaf import composed, scales_of
from jaxann.schedules import value_at

__all__ = ["leaf_rates"]


def leaf_rates(optimizer: Optimizer, step: Array, params: Params) -> Any:
    """The rate of each leaf at a step, a scalar for a leaf: 0 where it is frozen or the step is only gathered for.

    Args:
        optimizer: any rule, rules around rules too.
        step: int32 (), calls made before this one.
        params: for the names.
    """
    arguments = optimizer.arguments
    name = optimizer._factory.name
    inner: Any = arguments.get("optimizer")
    zeros = jax.tree.map(lambda p: jnp.zeros((), jnp.result_type(float)), params)

    def groups(patterns, rule_of, step_of):
        place, rates = first_match(patterns, params), zeros
        for i in range(len(patterns)):
            if rule_of(i) is not None:
                part = pruned(params, jax.tree.map(lambda p, i=i: p == i, place))
                rates = merged(leaf_rates(rule_of(i), step_of(i), part), rates)
        return rates

    match name:
        case "optimizers.per_leaf":
            same = [arguments[n] for n in ("freeze", "learning_rate_scale", "decay")]
            return leaf_rates(composed(inner, *same), step, params)
        case "optimizers.layerwise_learning_rate":
            table = scales_of(arguments["layers"], arguments["decay"])
            return leaf_rates(composed(inner, None, table, None), step, params)
        case "optimizers._scaled_leaves":
            table = arguments["learning_rate_scale"]
            factors = tuple(table.values())
            return jax.tree.map(
                lambda rate, i: rate if i < 0 else rate * jnp.asarray(factors[i], rate.dtype),
                leaf_rates(inner, step, params),
                first_match(table, params),
            )
        case "optimizers.freeze":
            frozen = meant("freeze", "mask", arguments["mask"], params)
            keep = jax.tree.map(lambda flag: not flag, frozen)
            return merged(leaf_rates(inner, step, pruned(params, keep)), zeros)
        case "optimizers.partition":
            table = arguments["groups"]
            rules = tuple(table.values())
            return groups(tuple(table), lambda i: rules[i], lambda i: step)
        case "optimizers.accumulate":
            steps = jnp.asarray(arguments["steps"], step.dtype)
            moves = (step + 1) % steps == 0
            rates = leaf_rates(inner, step // steps, params)
            return jax.tree.map(lambda rate: jnp.where(moves, rate, 0), rates)
        case "optimizers.gradual_unfreezing":
            layers, every = arguments["layers"], jnp.asarray(arguments["every"], step.dtype)
            begins = [(len(layers) - 1 - i) * every for i in range(len(layers))]
            rates = groups(layers, lambda i: inner, lambda i: jnp.maximum(step - begins[i], 0))
            begun = jax.tree.map(lambda i: jnp.asarray(step >= begins[i]), first_match(layers, params))
            return jax.tree.map(lambda rate, moves: jnp.where(moves, rate, 0), rates, begun)
        case "optimizers.muon" if arguments["adam_learning_rate"] is not None:
            rate, other = (value_at(arguments[n], step) for n in ("learning_rate", "adam_learning_rate"))
            return jax.tree.map(lambda one: rate if one else other, meant("muon", "mask", arguments["mask"], params))
    if arguments.get("learning_rate") is None and isinstance(inner, Optimizer):
        return leaf_rates(inner, step, params)
    rate = arguments.get("learning_rate")
    rate = learning_rate_at(optimizer, step) if rate is None else value_at(rate, step)
    return jax.tree.map(lambda p: rate, params)

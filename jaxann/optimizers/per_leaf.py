"""Which leaves are frozen, which learn at another rate, and which decay: said once, by path patterns, for any rule."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Scalar
from jaxann.optimizers.base import as_optimizer
from jaxann.optimizers.masking import check_groups, check_meant, check_table, first_match
from jaxann.optimizers.partition import check_layers, freeze, masked

__all__ = ["layerwise_learning_rate", "per_leaf", "rewritten"]


def rewritten(optimizer: Optimizer, change: Callable[[Optimizer], Optimizer]) -> Optimizer:
    """The optimizer with every one directly inside it changed."""

    def inside(value):
        if isinstance(value, Optimizer):
            return change(value)
        if isinstance(value, tuple):
            return tuple(map(inside, value))
        if isinstance(value, Mapping):
            return OrderedDict((name, inside(one)) for name, one in value.items())
        return value

    nested = {n: v for n, v in optimizer.arguments.items() if isinstance(v, Optimizer | tuple | Mapping)}
    changes = {name: inside(value) for name, value in nested.items()}
    changes = {name: value for name, value in changes.items() if value != nested[name]}
    return optimizer.replace(**changes) if changes else optimizer


def _decaying(optimizer: Optimizer, rule: Callable) -> Optimizer:
    """The optimizer with this mask in every rule inside that decays."""
    optimizer = rewritten(optimizer, lambda inner: _decaying(inner, rule))
    return optimizer.replace(mask=rule) if {"weight_decay", "mask"} <= optimizer.arguments.keys() else optimizer


@factory(Optimizer)
def _scaled_leaves(optimizer: Any, learning_rate_scale: Any):
    """The optimizer's updates, each leaf's times the factor of the first pattern that means it."""
    patterns, factors = tuple(learning_rate_scale), tuple(learning_rate_scale.values())

    def update(grads, state, params, **more):
        updates, state = optimizer.update(grads, state, params, **more)

        def one(u, place):
            if place < 0:
                return u
            dtype = wide_dtype(u.dtype)
            return (u.astype(dtype) * jnp.asarray(factors[place], dtype)).astype(u.dtype)

        return jax.tree.map(one, updates, first_match(patterns, updates)), state

    if not optimizer.averages:
        return optimizer.init, update
    return optimizer.init, update, optimizer.evaluation_params


_MASKED = masked  # passes gradients through, which are scaled with the rest


def _scaled_inside(optimizer: Optimizer, table: Mapping[str, Scalar]) -> Optimizer:
    """The factors where the step is made: rules around it, such as averages, see the weights that result."""

    def scale(inner):
        return _scaled_inside(inner, table)

    arguments = optimizer.arguments
    kind = optimizer._factory.name
    if isinstance(arguments.get("optimizer"), Optimizer) and kind != "optimizers.masked":
        return optimizer.replace(optimizer=scale(arguments["optimizer"]))
    if kind == "optimizers.chain":
        *first, last = arguments["transforms"]
        return optimizer.replace(transforms=(*first, scale(last)))
    if kind == "optimizers.partition":
        groups = ((pattern, rule and scale(rule)) for pattern, rule in arguments["groups"].items())
        return optimizer.replace(groups=OrderedDict(groups))
    return _scaled_leaves(optimizer, table)

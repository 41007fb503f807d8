"""What an optimizer does with each leaf of the parameters: frozen, decayed, at another learning rate.

Whether a leaf is frozen is seen in the traced update: nothing of the gradients reaches it. What decays and at which
factor it learns is read from the arguments of the optimizers, one inside the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import is_concrete
from jaxann.core.patterns import matches, selector
from jaxann.core.products import Optimizer
from jaxann.core.trees import flatten_named

__all__ = ["LeafFacts", "leaf_facts"]


@dataclass(frozen=True)
class LeafFacts:
    """What an optimizer does with one leaf."""

    frozen: bool = False
    decayed: bool = False
    scale: float = 1.0  # of the learning rate


def leaf_facts(optimizer: Optimizer, params: Any) -> dict[str, LeafFacts]:
    """What the optimizer does with each leaf of parameters, or of their shapes, by its dotted name."""
    leaves = flatten_named(params)
    frozen = _frozen(optimizer, params)
    facts = {name: LeafFacts(frozen=name in frozen) for name in leaves}
    _read(optimizer, leaves, None, facts)
    return {name: replace(one, decayed=one.decayed and not one.frozen) for name, one in facts.items()}


def _frozen(optimizer: Optimizer, params: Any) -> set[str]:
    """Leaves whose update depends on no gradient."""
    state, key = jax.eval_shape(optimizer.init, params), jax.eval_shape(lambda: jax.random.key(0))
    value = jax.ShapeDtypeStruct((), jnp.float32)

    def update(grads, state, params, value, key):
        def objective(p):
            return sum((jnp.sum(leaf).astype(value.dtype) for leaf in jax.tree.leaves(p)), jnp.zeros((), value.dtype))

        return optimizer.update(grads, state, params, value=value, value_fn=objective, key=key)[0]

    program = jax.make_jaxpr(update)(params, state, params, value, key).jaxpr
    reached = _reached(program, [i < len(jax.tree.leaves(params)) for i in range(len(program.invars))])
    return {name for name, moves in zip(flatten_named(params), reached, strict=True) if not moves}


def _reached(jaxpr: Any, marked: list[bool]) -> list[bool]:
    """Which outputs depend on a marked input."""
    known = {id(v) for v, flag in zip(jaxpr.invars, marked, strict=True) if flag}
    for equation in jaxpr.eqns:
        flags = [id(v) in known for v in equation.invars]
        inner = equation.params.get("jaxpr") if equation.primitive.name in ("pjit", "jit", "closed_call") else None
        inner = getattr(inner, "jaxpr", inner)
        if inner is not None and len(inner.invars) == len(flags):
            results = _reached(inner, flags)
        else:
            results = [any(flags)] * len(equation.outvars)
        known |= {id(v) for v, flag in zip(equation.outvars, results, strict=True) if flag}
    return [id(v) in known for v in jaxpr.outvars]


def _read(optimizer: Optimizer, leaves: Mapping[str, Any], decay: Any, facts: dict[str, LeafFacts]) -> None:
    """Note what this optimizer and those inside it do with these leaves; `decay` is a rule that overrides theirs."""
    arguments = optimizer.arguments
    table = _factors(arguments)
    for name in leaves if table else ():
        factor = next((f for pattern, f in table.items() if matches(pattern, name)), 1.0)
        facts[name] = replace(facts[name], scale=facts[name].scale * _float(factor))
    if arguments.get("freeze", ...) is not ... and arguments.get("decay") is not None:
        decay = selector("summary", "decay", arguments["decay"])
    mask = arguments.get("mask")
    if "mask" in arguments and "weight_decay" in arguments:
        chosen = decay or selector("summary", "mask", mask)
        for name, leaf in leaves.items():
            if _float(arguments["weight_decay"]) != 0 and chosen(name, leaf):
                facts[name] = replace(facts[name], decayed=True)
    elif isinstance(arguments.get("optimizer"), Optimizer) and mask is not None:
        rule = selector("summary", "mask", mask)
        seen = {name: leaf for name, leaf in leaves.items() if rule(name, leaf)}
        # Leaves that are all frozen are those it keeps from the optimizer inside; else they are those it hands on.
        kept_away = all(facts[name].frozen for name in seen)
        leaves = {name: leaf for name, leaf in leaves.items() if name not in seen} if kept_away else seen
    groups = arguments.get("groups")
    if isinstance(groups, Mapping):
        first = {name: next((p for p in groups if matches(p, name)), None) for name in leaves}
        for pattern, inner in groups.items():
            if isinstance(inner, Optimizer):
                _read(inner, {name: leaf for name, leaf in leaves.items() if first[name] == pattern}, decay, facts)
        return
    for inner in jax.tree.leaves(list(arguments.values()), is_leaf=lambda node: isinstance(node, Optimizer)):
        if isinstance(inner, Optimizer):
            _read(inner, leaves, decay, facts)


def _factors(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Factors of the learning rate by pattern."""
    table = arguments.get("learning_rate_scale")
    if isinstance(table, Mapping):
        return dict(table)
    layers, decay = arguments.get("layers"), arguments.get("decay")
    if isinstance(layers, tuple) and decay is not None and not callable(decay):
        last = len(layers) - 1
        return {pattern: _float(decay) ** (last - place) for place, pattern in enumerate(layers)}
    return {}


def _float(value: Any) -> float:
    """A number as it is known now; NaN for one that is traced, a schedule or one of many members."""
    if callable(value) or not is_concrete(value) or np.ndim(value):
        return float("nan")
    return float(value)

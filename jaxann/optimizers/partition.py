"""Which rule moves which leaves: one rule for some of them, one for each group, none for those that are frozen."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_count, fail
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer, OptimizerFunctions
from jaxann.core.typing import Array, Scalar
from jaxann.optimizers.base import as_optimizer, leaf_learning_rates
from jaxann.optimizers.counting import multiple, next_step
from jaxann.optimizers.frozen import freezes, frozen_leaves
from jaxann.optimizers.masking import (
    check_groups,
    check_selection,
    check_table,
    combine,
    first_match,
    keep_leaves,
    selected,
    update_part,
    zero_updates,
)

__all__ = ["PartitionState", "UnfreezingState", "check_layers", "freeze", "gradual_unfreezing", "masked", "partition"]


def _others(flags: Any) -> Any:
    return jax.tree.map(lambda flag: not flag, flags)


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "masked", "optimizer")},
    traits=("splits_leaves", "finite_updates"),
)
def masked(optimizer: Optimizer, mask: Selection):
    """The optimizer's update on the leaves the mask means; the others pass through unchanged.

    This is for transformations within a chain: `chain(masked(clip_by_norm(1.0), "rnn"), adam(1e-3))`. What passes
    through is the gradient itself, so a leaf that is to stay where it is needs `freeze` or `partition`.

    Args:
        optimizer: sees only the leaves that are meant, and keeps state for them alone.
        mask: path patterns, or a rule `(name, leaf) -> bool`.

    Peers: as optax, whose mask is a tree of flags. PyTorch has groups of parameters, Keras none.

    Raises:
        InputError: the mask is no selection, or a pattern means no leaf.
    """
    check_selection("masked", "mask", mask)

    def init(params):
        check_selection("masked", "mask", mask, params)
        return optimizer.init(keep_leaves(params, selected("masked", "mask", mask, params)))

    def update(grads, state, params, **more):
        keep = selected("masked", "mask", mask, grads)
        updates, state = update_part(optimizer, keep, grads, state, params, **more)
        return combine(updates, grads), state

    return _evaluated_in_part(optimizer, init, update, lambda params: selected("masked", "mask", mask, params))


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "freeze", "optimizer")},
    traits=("splits_leaves", "finite_updates", "wrapper"),
)
def freeze(optimizer: Optimizer, mask: Selection):
    """Exactly 0 for the leaves the mask means, the optimizer's update for the others.

    The optimizer does not see frozen leaves: they have no state, do not decay and do not count in a norm that it
    clips by. An objective that it asks for is taken with them where they are. In `fit` the state of a layer whose
    parameters are all frozen stays too: running statistics do not move. (A batch is normalized by its own statistics
    all the same, unless the layer is `batch_norm(frozen=True)`.)

    Args:
        optimizer: the rule of the leaves that move.
        mask: which leaves are frozen: path patterns such as `"encoder"`, or a rule `(name, leaf) -> bool`.

    Peers: as PyTorch's requires_grad=False and Keras' trainable=False; optax's freeze sets the updates to 0 and its
    neighbours in the chain keep state for frozen leaves.

    Raises:
        InputError: the mask is no selection, or a pattern means no leaf.
    """
    check_selection("freeze", "mask", mask)

    def moving(tree):
        return _others(selected("freeze", "mask", mask, tree))

    def init(params):
        check_selection("freeze", "mask", mask, params)
        return optimizer.init(keep_leaves(params, moving(params)))

    def update(grads, state, params, **more):
        updates, state = update_part(optimizer, moving(grads), grads, state, params, **more)
        return combine(updates, zero_updates(grads)), state

    def leaf_rates(step, params):
        return combine(leaf_learning_rates(optimizer, step, keep_leaves(params, moving(params))), _no_rates(params))

    def frozen(state, params):
        keep = moving(params)
        inside = frozen_leaves(optimizer, state, keep_leaves(params, keep))
        return combine(inside, _others(keep))

    functions = _evaluated_in_part(optimizer, init, update, moving)
    return functions._replace(leaf_learning_rates=leaf_rates, frozen_leaves=frozen)


def _evaluated_in_part(optimizer: Optimizer, init: Any, update: Any, keep: Any) -> OptimizerFunctions:
    """The functions with the inner rule's evaluation point on the leaves it sees, where it has one."""

    def evaluate(state, params):
        return combine(optimizer.evaluation_params(state, keep_leaves(params, keep(params))), params)

    def frozen(state, params):
        flags = keep(params)
        inside = frozen_leaves(optimizer, state, keep_leaves(params, flags))
        return combine(inside, jax.tree.map(lambda p: False, params))

    freezing = frozen if freezes(optimizer) else None
    return OptimizerFunctions(init, update, evaluate if optimizer.averages else None, frozen_leaves=freezing)


class PartitionState(NamedTuple):
    """State of `partition`."""

    inner: tuple  # one state for each group, () for a frozen one


def _groups(table: Any) -> OrderedDict[str, Optimizer | None]:
    check_table("partition", "groups", table, '{"encoder": None, "*": adam(1e-3)}')
    if not table:
        fail("partition", "groups", "at least one group", " none")
    return OrderedDict(
        (pattern, None if rule is None else as_optimizer(rule, "partition", "each of groups"))
        for pattern, rule in table.items()
    )


@factory(Optimizer, convert={"groups": _groups}, traits=("splits_leaves", "finite_updates", "wrapper"))
def partition(groups: Mapping[str, Optimizer | None]):
    """Each leaf moves by the optimizer of the first pattern that means it; exactly 0 where that is None.

    `partition({"*.bias": sgd(1e-2), "encoder": None, "*": adam(1e-3)})`. A frozen group has no state. Each optimizer
    sees its own leaves alone, in norms too; an objective is given with the others where they are.

    Args:
        groups: a mapping from path patterns to optimizers or None, in order.

    Peers: as optax's partition (multi_transform), which goes by labels; PyTorch's groups of parameters have one rule
    with several settings.

    Raises:
        InputError: no mapping, a pattern that means no leaf or only leaves of earlier ones, or a leaf that none means.
    """
    patterns, rules = tuple(groups), tuple(groups.values())

    def flags(tree):
        place = first_match(patterns, tree)
        return [jax.tree.map(lambda p, i=i: p == i, place) for i in range(len(rules))]

    def init(params):
        check_groups("partition", "groups", patterns, params, complete=True)
        groups = zip(rules, flags(params), strict=True)
        return PartitionState(tuple(() if r is None else r.init(keep_leaves(params, keep)) for r, keep in groups))

    def update(grads, state, params, **more):
        updates, after = zero_updates(grads), []
        for rule, keep, own in zip(rules, flags(grads), state.inner, strict=True):
            if rule is not None:
                moved, own = update_part(rule, keep, grads, own, params, **more)
                updates = combine(moved, updates)
            after.append(own)
        return updates, PartitionState(tuple(after))

    def evaluate(state, params):
        point = params
        for rule, keep, own in zip(rules, flags(params), state.inner, strict=True):
            if rule is not None:
                point = combine(rule.evaluation_params(own, keep_leaves(params, keep)), point)
        return point

    def leaf_rates(step, params):
        return _group_rates(patterns, [(rule, step) for rule in rules], params)

    def frozen(state, params):
        found = jax.tree.map(lambda p: True, params)
        for rule, keep, own in zip(rules, flags(params), state.inner, strict=True):
            if rule is not None:
                found = combine(frozen_leaves(rule, own, keep_leaves(params, keep)), found)
        return found

    averages = any(rule is not None and rule.averages for rule in rules)
    freezing = frozen if any(rule is None or freezes(rule) for rule in rules) else None
    return OptimizerFunctions(
        init, update, evaluate if averages else None, leaf_learning_rates=leaf_rates, frozen_leaves=freezing
    )


class UnfreezingState(NamedTuple):
    """State of `gradual_unfreezing`."""

    step: Array  # int32 (), updates made so far
    inner: tuple  # one state for each layer, in the order of `layers`


def _unfreezing(rule: Any) -> Optimizer:
    return as_optimizer(rule, "gradual_unfreezing", "optimizer")


@factory(Optimizer, convert={"optimizer": _unfreezing}, traits=("finite_updates", "wrapper"))
def gradual_unfreezing(optimizer: Optimizer, layers: tuple[str, ...], *, every: Scalar):
    """Layer l of L moves from update (L - l) every on, exactly 0 before: from the top down, one more every `every`.

    The top layer moves at once. A layer's state, its count of steps for a schedule too, begins when it begins to move.
    Each layer has its own state, and norms are taken over a layer.

    Args:
        optimizer: the rule of every layer.
        layers: one path pattern a layer, from the input to the output, which together mean every leaf.
        every: updates from one unfreezing to the next, a whole number >= 1; often those of an epoch.

    Peers: PyTorch, Keras and optax have none; there one sets the flags between epochs.

    Source: Howard and Ruder 2018.

    Raises:
        InputError: layers are no patterns, a pattern means no leaf, a leaf is left over, or every is out of range.
    """
    check_layers("gradual_unfreezing", layers)
    check_count("gradual_unfreezing", "every", every, 1)
    last = len(layers) - 1

    def flags(tree):
        place = first_match(layers, tree)
        return [jax.tree.map(lambda p, i=i: p == i, place) for i in range(len(layers))]

    def init(params):
        check_groups("gradual_unfreezing", "layers", layers, params, complete=True)
        inner = tuple(optimizer.init(keep_leaves(params, keep)) for keep in flags(params))
        return UnfreezingState(jnp.zeros((), jnp.int32), inner)

    def update(grads, state, params, **more):
        updates, after = zero_updates(grads), []
        for layer, (keep, own) in enumerate(zip(flags(grads), state.inner, strict=True)):
            part = keep_leaves(grads, keep)

            def move(own, part=part, keep=keep):
                moved, own = update_part(optimizer, keep, grads, own, params, **more)
                return jax.tree.map(lambda u, g: u.astype(g.dtype), moved, part), own

            begun = state.step >= multiple(last - layer, every)
            moved, own = lax.cond(begun, move, lambda own, part=part: (zero_updates(part), own), own)
            updates = combine(moved, updates)
            after.append(own)
        return updates, UnfreezingState(next_step(state.step), tuple(after))

    def evaluate(state, params):
        for keep, own in zip(flags(params), state.inner, strict=True):
            params = combine(optimizer.evaluation_params(own, keep_leaves(params, keep)), params)
        return params

    def leaf_rates(step, params):
        begins = [multiple(last - layer, every).astype(step.dtype) for layer in range(len(layers))]
        rates = _group_rates(layers, [(optimizer, jnp.maximum(step - begin, 0)) for begin in begins], params)
        begun = jax.tree.map(lambda layer: jnp.asarray(step >= begins[layer]), first_match(layers, params))
        return jax.tree.map(lambda rate, moves: jnp.where(moves, rate, 0), rates, begun)

    def frozen(state, params):
        waiting = [state.step < multiple(last - layer, every) for layer in range(len(layers))]
        found = jax.tree.map(lambda layer: waiting[layer], first_match(layers, params))
        for keep, own in zip(flags(params), state.inner, strict=True) if freezes(optimizer) else ():
            inside = frozen_leaves(optimizer, own, keep_leaves(params, keep))
            found = combine(jax.tree.map(operator.or_, keep_leaves(found, keep), inside), found)
        return found

    return OptimizerFunctions(
        init, update, evaluate if optimizer.averages else None, leaf_learning_rates=leaf_rates, frozen_leaves=frozen
    )


def _no_rates(params: Any) -> Any:
    return jax.tree.map(lambda p: jnp.zeros((), jnp.result_type(float)), params)


def _group_rates(patterns: tuple[str, ...], rules: list[tuple[Optimizer | None, Array]], params: Any) -> Any:
    """The rate of each leaf by the rule of its group, at that group's step; 0 where there is no rule."""
    place, rates = first_match(patterns, params), _no_rates(params)
    for group, (rule, step) in enumerate(rules):
        if rule is not None:
            own = keep_leaves(params, jax.tree.map(lambda p, group=group: p == group, place))
            rates = combine(leaf_learning_rates(rule, step, own), rates)
    return rates


def check_layers(function: str, layers: Any) -> None:
    """Path patterns, one or more."""
    if not isinstance(layers, tuple) or not layers or not all(isinstance(pattern, str) for pattern in layers):
        fail(function, "layers", 'path patterns from the input to the output, such as ("embed", "block*", "head")',
             layers)  # fmt: skip

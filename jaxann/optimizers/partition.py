"""Which rule moves which leaves: one rule for some of them, one for each group, none for those that are frozen."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import check_count, fail
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer
from jaxann.core.typing import Array, Scalar
from jaxann.optimizers.base import as_optimizer
from jaxann.optimizers.masking import (
    check_groups,
    check_meant,
    check_table,
    first_match,
    meant,
    merged,
    pruned,
    unmoved,
    update_part,
)

__all__ = ["PartitionState", "UnfreezingState", "check_layers", "freeze", "gradual_unfreezing", "masked", "partition"]


def _others(flags: Any) -> Any:
    return jax.tree.map(lambda flag: not flag, flags)


@factory(Optimizer, convert={"optimizer": lambda rule: as_optimizer(rule, "masked", "optimizer")})
def masked(optimizer: Any, mask: Selection):
    """The optimizer's update on the leaves the mask means; the others pass through unchanged.

    This is for transformations within a chain: `chain(masked(clip_by_norm(1.0), "rnn"), adam(1e-3))`. What passes
    through is the gradient itself, so a leaf that is to stay where it is needs `freeze` or `partition`.

    Args:
        optimizer: sees only the leaves that are meant, and keeps memory for them alone.
        mask: path patterns, or a rule `(name, leaf) -> bool`.

    Peers: as optax, whose mask is a tree of flags. PyTorch has groups of parameters, Keras none.

    Raises:
        InputError: the mask is no selection, or a pattern means no leaf.
    """
    check_meant("masked", "mask", mask)

    def init(params):
        check_meant("masked", "mask", mask, params)
        return optimizer.init(pruned(params, meant("masked", "mask", mask, params)))

    def update(grads, state, params, **more):
        keep = meant("masked", "mask", mask, grads)
        updates, state = update_part(optimizer, keep, grads, state, params, **more)
        return merged(updates, grads), state

    return _evaluated_in_part(optimizer, init, update, lambda params: meant("masked", "mask", mask, params))


@factory(Optimizer, convert={"optimizer": lambda rule: as_optimizer(rule, "freeze", "optimizer")})
def freeze(optimizer: Any, mask: Selection):
    """Exactly 0 for the leaves the mask means, the optimizer's update for the others.

    The optimizer does not see frozen leaves: they have no memory, do not decay and do not count in a norm that it
    clips by. An objective that it asks for is taken with them where they are.

    Args:
        optimizer: the rule of the leaves that move.
        mask: which leaves are frozen: path patterns such as `"encoder"`, or a rule `(name, leaf) -> bool`.

    Peers: as PyTorch's requires_grad=False and Keras' trainable=False; optax's freeze sets the updates to 0 and its
    neighbours in the chain keep memory for frozen leaves.

    Raises:
        InputError: the mask is no selection, or a pattern means no leaf.
    """
    check_meant("freeze", "mask", mask)

    def moving(tree):
        return _others(meant("freeze", "mask", mask, tree))

    def init(params):
        check_meant("freeze", "mask", mask, params)
        return optimizer.init(pruned(params, moving(params)))

    def update(grads, state, params, **more):
        updates, state = update_part(optimizer, moving(grads), grads, state, params, **more)
        return merged(updates, unmoved(grads)), state

    return _evaluated_in_part(optimizer, init, update, moving)


def _evaluated_in_part(optimizer: Optimizer, init: Any, update: Any, keep: Any) -> tuple:
    """The functions with the inner rule's evaluation point on the leaves it sees, where it has one."""

    def evaluate(state, params):
        return merged(optimizer.evaluation_params(state, pruned(params, keep(params))), params)

    return (init, update, evaluate) if optimizer.averages else (init, update)


class PartitionState(NamedTuple):
    """Memory of `partition`."""

    inner: tuple  # one memory for each group, () for a frozen one


def _groups(table: Any) -> OrderedDict[str, Optimizer | None]:
    check_table("partition", "groups", table, '{"encoder": None, "*": adam(1e-3)}')
    if not table:
        fail("partition", "groups", "at least one group", " none")
    return OrderedDict(
        (pattern, None if rule is None else as_optimizer(rule, "partition", "each of groups"))
        for pattern, rule in table.items()
    )


@factory(Optimizer, convert={"groups": _groups})
def partition(groups: Any):
    """Each leaf moves by the optimizer of the first pattern that means it; exactly 0 where that is None.

    `partition({"*.bias": sgd(1e-2), "encoder": None, "*": adam(1e-3)})`. A frozen group has no memory. Each optimizer
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
        parts = zip(rules, flags(params), strict=True)
        return PartitionState(tuple(() if r is None else r.init(pruned(params, keep)) for r, keep in parts))

    def update(grads, state, params, **more):
        updates, after = unmoved(grads), []
        for rule, keep, own in zip(rules, flags(grads), state.inner, strict=True):
            if rule is not None:
                part, own = update_part(rule, keep, grads, own, params, **more)
                updates = merged(part, updates)
            after.append(own)
        return updates, PartitionState(tuple(after))

    def evaluate(state, params):
        point = params
        for rule, keep, own in zip(rules, flags(params), state.inner, strict=True):
            if rule is not None:
                point = merged(rule.evaluation_params(own, pruned(params, keep)), point)
        return point

    averages = any(rule is not None and rule.averages for rule in rules)
    return (init, update, evaluate) if averages else (init, update)


class UnfreezingState(NamedTuple):
    """Memory of `gradual_unfreezing`."""

    step: Array  # int32 (), updates made so far
    inner: tuple  # one memory for each layer, in the order of `layers`


def _unfreezing(rule: Any) -> Optimizer:
    return as_optimizer(rule, "gradual_unfreezing", "optimizer")


@factory(Optimizer, convert={"optimizer": _unfreezing})
def gradual_unfreezing(optimizer: Any, layers: tuple[str, ...], *, every: Scalar):
    """Layer l of L moves from update (L - l) every on, exactly 0 before: from the top down, one more every `every`.

    The top layer moves at once. A layer's memory, its count of steps for a schedule too, begins when it begins to move.
    Each layer has its own memory, and norms are taken over a layer.

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
        parts = tuple(optimizer.init(pruned(params, keep)) for keep in flags(params))
        return UnfreezingState(jnp.zeros((), jnp.int32), parts)

    def update(grads, state, params, **more):
        updates, after = unmoved(grads), []
        for layer, (keep, own) in enumerate(zip(flags(grads), state.inner, strict=True)):
            part = pruned(grads, keep)

            def move(own, part=part, keep=keep):
                moved, own = update_part(optimizer, keep, grads, own, params, **more)
                return jax.tree.map(lambda u, g: u.astype(g.dtype), moved, part), own

            begun = state.step >= (last - layer) * jnp.asarray(every, jnp.int32)
            moved, own = lax.cond(begun, move, lambda own, part=part: (unmoved(part), own), own)
            updates = merged(moved, updates)
            after.append(own)
        return updates, UnfreezingState(state.step + 1, tuple(after))

    def evaluate(state, params):
        for keep, own in zip(flags(params), state.inner, strict=True):
            params = merged(optimizer.evaluation_params(own, pruned(params, keep)), params)
        return params

    return (init, update, evaluate) if optimizer.averages else (init, update)


def check_layers(function: str, layers: Any) -> None:
    """Path patterns, one or more."""
    if not isinstance(layers, tuple) or not layers or not all(isinstance(pattern, str) for pattern in layers):
        fail(function, "layers", 'path patterns from the input to the output, such as ("embed", "block*", "head")',
             layers)  # fmt: skip

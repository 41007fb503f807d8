"""Which leaves are frozen, which learn at another rate, and which decay: said once, by path patterns, for any rule."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import check_range, fail
from jaxann.core.factories import factory, some_declares
from jaxann.core.patterns import Selection, selector
from jaxann.core.products import Optimizer, OptimizerFunctions
from jaxann.core.trees import wide_dtype
from jaxann.core.typing import Params, Scalar
from jaxann.optimizers.base import as_optimizer, inner_optimizers, leaf_learning_rates, wrapping
from jaxann.optimizers.frozen import frozen_leaves
from jaxann.optimizers.masking import check_groups, check_selection, check_table, first_match
from jaxann.optimizers.partition import check_layers, freeze

__all__ = ["layerwise_learning_rate", "per_leaf"]


def _rewritten(optimizer: Optimizer, change: Callable[[Optimizer], Any]) -> Optimizer:
    """The optimizer with every one directly inside it changed."""
    changes = {
        name: jax.tree.map(
            lambda node: change(node) if isinstance(node, Optimizer) else node,
            value,
            is_leaf=lambda node: isinstance(node, Optimizer),
        )
        for name, value in optimizer.arguments.items()
        if inner_optimizers(value)
    }
    return optimizer.replace(**changes) if changes else optimizer


def _decaying(optimizer: Optimizer, rule: Callable) -> Optimizer:
    """The optimizer with this mask in every rule inside that decays."""
    optimizer = _rewritten(optimizer, lambda inner: _decaying(inner, rule))
    return optimizer.replace(mask=rule) if "decays_by_mask" in optimizer.traits else optimizer


@factory(Optimizer, traits=("finite_updates", "wrapper"))
def _scaled_leaves(optimizer: Optimizer, learning_rate_scale: Mapping[str, Scalar]):
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

    def leaf_rates(step, params):
        return jax.tree.map(
            lambda rate, place: rate if place < 0 else rate * jnp.asarray(factors[place], rate.dtype),
            leaf_learning_rates(optimizer, step, params),
            first_match(patterns, params),
        )

    def frozen(state, params):  # a factor of 0 freezes
        return jax.tree.map(
            lambda flag, place: flag if place < 0 else flag | (jnp.asarray(factors[place]) == 0),
            frozen_leaves(optimizer, state, params),
            first_match(patterns, params),
        )

    functions = wrapping(optimizer, optimizer.init, update, lambda state: state)
    return functions._replace(leaf_learning_rates=leaf_rates, frozen_leaves=frozen)


def _scaled_inside(optimizer: Optimizer, table: Mapping[str, Scalar]) -> Optimizer:
    """The factors where the step is made: rules around it, such as averages, see the weights that result.

    Raises:
        InputError: a rule that averages its own steps: scaled afterwards, the average would not be of the weights.
    """

    def scale(inner):
        return _scaled_inside(inner, table)

    if "wrapper" in optimizer.traits:
        return _rewritten(optimizer, scale)
    if "chain" in optimizer.traits:
        after = itertools.count(1 - len(inner_optimizers(list(optimizer.arguments.values()))))
        return _rewritten(optimizer, lambda inner: scale(inner) if next(after) == 0 else inner)  # the last one
    if optimizer.averages:
        fail("per_leaf", "optimizer", 'one that is evaluated where it steps, or that declares the trait "wrapper"',
             optimizer)  # fmt: skip
    return _scaled_leaves(optimizer, table)


def _composed(
    optimizer: Optimizer, frozen: Selection, table: Mapping[str, Scalar] | None, decay: Selection
) -> Optimizer:
    """What `per_leaf` stands for, made of the rules that do one thing each."""
    if decay is not None:
        optimizer = _decaying(optimizer, selector("per_leaf", "decay", decay))
    if table:
        optimizer = _scaled_inside(optimizer, table)
    return optimizer if frozen is None else freeze(optimizer, frozen)


def _scales_of(layers: tuple[str, ...], decay: Scalar) -> OrderedDict[str, Scalar]:
    """The factor of every layer: 1 for the last, decay times the next one's for the others."""
    last = len(layers) - 1
    return OrderedDict((pattern, decay ** (last - place)) for place, pattern in enumerate(layers))


def _functions(inner: Optimizer, check: Callable[[Params], None]) -> OptimizerFunctions:
    """The inner rule's functions, its `init` after a check of the whole tree."""

    def init(params):
        check(params)
        return inner.init(params)

    def update(grads, state, params, **more):
        return inner.update(grads, state, params, **more)

    def leaf_rates(step, params):
        return leaf_learning_rates(inner, step, params)

    functions = wrapping(inner, init, update, lambda state: state)
    return functions._replace(leaf_learning_rates=leaf_rates)


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "per_leaf", "optimizer")},
    traits=("splits_leaves", "finite_updates", "wrapper"),
)
def per_leaf(
    optimizer: Optimizer,
    *,
    freeze: Selection = None,
    learning_rate_scale: Mapping[str, Scalar] | None = None,
    decay: Selection = None,
):
    """learning_rate_scale times the optimizer's update for each leaf, exactly 0 where frozen; what decays by `decay`.

    `per_leaf(adamw(1e-3), freeze="encoder.stem", learning_rate_scale={"encoder": 0.1}, decay="*.weight")`. A pattern
    means a leaf's dotted name or a branch above it. Put it around everything else: frozen leaves have no state in any
    rule inside, an average or a projection inside sees the weights as they are after scaling, and `decay` reaches every
    rule inside that decays.

    Args:
        optimizer: any rule, rules around rules too.
        freeze: patterns, or a rule `(name, leaf) -> bool`; None for no leaf.
        learning_rate_scale: a mapping from patterns to factors >= 0 of the updates, of which the first pattern that
            means a leaf counts; 1 for a leaf that none means. Decay that is multiplied by the rate is scaled with it.
        decay: which leaves decay, as `freeze`; it takes the place of the `mask` of every decaying rule inside.

    Peers: PyTorch's groups of parameters and requires_grad=False; optax's partition, masked and freeze, without names.
    Keras has trainable=False and exclude_from_weight_decay.

    Raises:
        InputError: an argument is none of these, nothing inside decays, a factor is negative, or, once the parameters
            are seen, a pattern means no leaf; the message lists the names there are.
    """
    for argument, selection in (("freeze", freeze), ("decay", decay)):
        check_selection("per_leaf", argument, selection)
    if learning_rate_scale is not None:
        check_table("per_leaf", "learning_rate_scale", learning_rate_scale, '{"encoder": 0.1}')
        for factor in learning_rate_scale.values():
            check_range("per_leaf", "learning_rate_scale", factor, 0)
    if decay is not None and not some_declares(optimizer, "decays_by_mask"):
        fail("per_leaf", "decay", "given with a rule whose mask says what decays, such as adamw", optimizer)

    def check(params):
        for argument, selection in (("freeze", freeze), ("decay", decay)):
            check_selection("per_leaf", argument, selection, params)
        check_groups("per_leaf", "learning_rate_scale", learning_rate_scale or (), params, complete=False)

    return _functions(_composed(optimizer, freeze, learning_rate_scale, decay), check)


def _layerwise(rule: Any) -> Optimizer:
    return as_optimizer(rule, "layerwise_learning_rate", "optimizer")


@factory(Optimizer, convert={"optimizer": _layerwise}, traits=("finite_updates", "wrapper"))
def layerwise_learning_rate(optimizer: Optimizer, layers: tuple[str, ...], *, decay: Scalar):
    """The optimizer's update times decay^(L - l) in layer l = 1 ... L: the last layer's rate falls towards the input.

    Args:
        optimizer: any rule; the rate it was made with is that of the last layer.
        layers: one path pattern a layer, from the input to the output, `("embed", "block0", "block1", "head")`, which
            together mean every leaf.
        decay: in (0, 1]; 1 / 2.6 in the paper, 0.65 to 0.95 for transformers.

    Peers: PyTorch by hand, with a group of parameters for each layer; Keras and optax have none.

    Source: Howard and Ruder 2018 (discriminative fine-tuning).

    Raises:
        InputError: decay is out of range, layers are no patterns, a pattern means no leaf, or a leaf is left over.
    """
    check_layers("layerwise_learning_rate", layers)
    check_range("layerwise_learning_rate", "decay", decay, 0, 1, open_low=True)

    def check(params):
        check_groups("layerwise_learning_rate", "layers", layers, params, complete=True)

    return _functions(_composed(optimizer, None, _scales_of(layers, decay), None), check)

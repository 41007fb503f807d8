"""Arrays of many blocks as the arrays of each block, for rules that look at a whole leaf."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxann.core.checks import fail
from jaxann.core.factories import factory
from jaxann.core.patterns import Selection
from jaxann.core.products import Optimizer, OptimizerFunctions
from jaxann.core.trees import flatten_named, unflatten_named
from jaxann.optimizers.base import as_optimizer, leaf_learning_rates
from jaxann.optimizers.frozen import freezes, frozen_leaves
from jaxann.optimizers.masking import check_selection

__all__ = ["per_block"]


@factory(
    Optimizer,
    convert={"optimizer": lambda rule: as_optimizer(rule, "per_block", "optimizer")},
    traits=("finite_updates", "wrapper"),
)
def per_block(optimizer: Optimizer, blocks: Selection):
    """The optimizer's update of the parameters of `layers.repeat` as if its blocks stood one by one.

        per_block(muon(0.02), "blocks.block")            blocks.block.conv.weight (32, 3, 3, 64, 64) counts as
                                                         blocks.block.0.conv.weight (3, 3, 64, 64), blocks.block.1 ...

    Without it an array of L blocks is one leaf: a trust ratio (lars, lamb) is one for all of them, a matrix (muon,
    shampoo, soap) is none or a wrong one, a bias has two axes. Rules of each number by itself do not need it. The rule
    inside also takes patterns of single blocks, such as learning rates for `blocks.block.0`.

    Args:
        optimizer: any rule, rules around rules too.
        blocks: path patterns of the branches whose arrays have a leading axis of blocks; or a rule
            `(name, leaf) -> bool` of such arrays.

    The update is compiled for each block, so that this piece of a program grows with their number.

    Peers: PyTorch, Keras and optax have none; flax's stacked parameters are one leaf to optax.

    Raises:
        InputError: `blocks` is no selection, means no leaf, or a branch's arrays are not of one number of blocks.
    """
    check_selection("per_block", "blocks", blocks)

    def init(params):
        check_selection("per_block", "blocks", blocks, params)
        return optimizer.init(_apart(blocks, params))

    def update(grads, state, params, *, value_fn=None, **more):
        def of_blocks(apart):
            assert value_fn is not None
            return value_fn(_together(blocks, apart, grads if params is None else params))

        given = None if params is None else _apart(blocks, params)
        inner = None if value_fn is None else of_blocks
        updates, state = optimizer.update(_apart(blocks, grads), state, given, value_fn=inner, **more)
        return _together(blocks, updates, grads), state

    def evaluate(state, params):
        return _together(blocks, optimizer.evaluation_params(state, _apart(blocks, params)), params)

    def frozen(state, params):
        flags = frozen_leaves(optimizer, state, _apart(blocks, params))
        return _together(blocks, flags, params, _one_flag)

    def leaf_rates(step, params):
        rates = leaf_learning_rates(optimizer, step, _apart(blocks, params))
        return _together(blocks, rates, params, _along)

    return OptimizerFunctions(
        init,
        update,
        evaluate if optimizer.averages else None,
        leaf_learning_rates=leaf_rates,
        frozen_leaves=frozen if freezes(optimizer) else None,
    )


def _place(blocks: Any, name: str, leaf: Any) -> int | None:
    """Before which word of the name a block's number stands; None for a leaf of no blocks."""
    words = name.split(".")
    if jnp.shape(leaf)[:1] == (0,):
        return None
    if callable(blocks):
        return len(words) - 1 if blocks(name, leaf) else None
    for pattern in () if blocks is None else (blocks,) if isinstance(blocks, str) else blocks:
        for size in range(1, len(words) + 1):
            if fnmatchcase(".".join(words[:size]), pattern):
                return min(size, len(words) - 1)  # the last word, which masks read, stays the last
    return None


def _apart(blocks: Any, tree: Any) -> Any:
    """The tree with every array of blocks in as many places."""
    found, named, counts = {}, flatten_named(tree), {}
    places = {name: _place(blocks, name, leaf) for name, leaf in named.items()}
    for name, place in places.items():
        if place is not None:
            before, shape = ".".join(name.split(".")[:place]), jnp.shape(named[name])
            if not shape or counts.setdefault(before, shape[0]) != shape[0]:
                known = f"{counts[before]} blocks" if before in counts else "blocks"
                fail("per_block", "blocks", f"of arrays with a leading axis of {known}", f" {name!r} of shape {shape}")
    for name, place in places.items():
        if place is None:
            found[name] = named[name]
            continue
        for block in range(jnp.shape(named[name])[0]):
            one = lax.index_in_dim(jnp.asarray(named[name]), block, keepdims=False)
            found[_named(name.split("."), place, block)] = one
    return unflatten_named(found)


def _named(words: list[str], place: int, block: int) -> str:
    return ".".join([*words[:place], str(block), *words[place:]])


def _together(blocks: Any, apart: Any, like: Any, put: Any = lambda leaves, leaf: jnp.stack(leaves)) -> Any:
    """A tree of single blocks in the form of `like`: `put(leaves of the blocks, leaf of like)` for each array."""
    found, leaves = flatten_named(apart), []
    for name, leaf in flatten_named(like).items():
        place = _place(blocks, name, leaf)
        words, count = name.split("."), 0 if place is None else jnp.shape(leaf)[0]
        each = [found[_named(words, place, block)] for block in range(count)] if place is not None else []
        leaves.append(put(each, leaf) if each else found[name])
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _along(values: list[Any], leaf: Any) -> Any:
    """One number a block, with as many axes as the array."""
    return lax.expand_dims(jnp.stack([jnp.asarray(value) for value in values]), range(1, jnp.ndim(leaf)))


def _one_flag(flags: list[Any], leaf: Any) -> Any:
    """One flag where all blocks have the same, else one a block."""
    if all(isinstance(flag, bool) for flag in flags) and len(set(flags)) == 1:
        return flags[0]
    return _along(flags, leaf)

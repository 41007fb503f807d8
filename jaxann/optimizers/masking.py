"""One rule on a part of the tree: the leaves it does not see are None, which JAX takes for an empty branch.

So the other leaves keep their names and the rule keeps no state of what it does not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxann.core.checks import fail
from jaxann.core.patterns import Selection, check_patterns, matches, selector
from jaxann.core.products import Optimizer
from jaxann.core.trees import flatten_named, map_named
from jaxann.core.typing import Array, Params, Updates

__all__ = [
    "check_groups",
    "check_selection",
    "check_table",
    "combine",
    "first_match",
    "keep_leaves",
    "selected",
    "update_part",
    "zero_updates",
]


def keep_leaves(tree: Any, keep: Any) -> Any:
    """The tree with None at the leaves that are not kept; None for no tree at all."""
    return None if tree is None else jax.tree.map(lambda leaf, kept: leaf if kept else None, tree, keep)


def combine(kept: Any, rest: Any) -> Any:
    """The first tree with its empty places filled from the second."""
    return jax.tree.map(lambda a, b: b if a is None else a, kept, rest, is_leaf=lambda node: node is None)


def zero_updates(tree: Any) -> Updates:
    """Updates of exactly 0; what JAX gives for the gradient of a whole number stays as it is."""
    return jax.tree.map(lambda leaf: leaf if leaf.dtype == jax.dtypes.float0 else jnp.zeros_like(leaf), tree)


def update_part(
    optimizer: Optimizer,
    keep: Any,
    grads: Updates,
    state: Any,
    params: Params | None,
    *,
    value: Array | None = None,
    value_fn: Callable[[Params], Array] | None = None,
    key: Any = None,
    weight: Array | None = None,
) -> tuple[Updates, Any]:
    """The rule's updates of the leaves that are kept, None at the others.

    The objective it is given takes the kept leaves; the others stand in it where they are. A rule that would see no
    leaf is not asked.
    """
    if not any(jax.tree.leaves(keep)):
        return keep_leaves(grads, keep), state

    def of_part(part):
        assert value_fn is not None
        return value_fn(combine(part, params))

    return optimizer.update(
        keep_leaves(grads, keep),
        state,
        keep_leaves(params, keep),
        value=value,
        value_fn=None if value_fn is None else of_part,
        key=key,
        weight=weight,
    )


def check_selection(function: str, argument: str, selection: Selection, tree: Any = None) -> None:
    """A selection is one, and each of its patterns means a leaf of the tree where there is one.

    Raises:
        InputError: it is none, or a pattern means no leaf; the message lists the names there are.
    """
    selector(function, argument, selection)
    if tree is not None and isinstance(selection, str | tuple | list):
        check_patterns(function, argument, (selection,) if isinstance(selection, str) else selection, tree)


def selected(function: str, argument: str, selection: Selection, tree: Any) -> Any:
    """The tree with True at the leaves that are meant, False at the others."""
    return map_named(selector(function, argument, selection), tree)


def first_match(patterns: Iterable[str], tree: Any) -> Any:
    """The tree with the place of the first pattern that means the leaf, -1 where none does."""
    patterns = tuple(patterns)
    return map_named(lambda name, leaf: next((i for i, p in enumerate(patterns) if matches(p, name)), -1), tree)


def check_groups(function: str, argument: str, patterns: Iterable[str], tree: Any, *, complete: bool) -> None:
    """Every pattern is the first to mean some leaf and, where the groups are to be complete, every leaf is meant.

    Raises:
        InputError: a pattern means no leaf, or only leaves that earlier ones have taken, or a leaf is left over.
    """
    patterns = tuple(patterns)
    check_patterns(function, argument, patterns, tree)
    places = flatten_named(first_match(patterns, tree))
    for place, pattern in enumerate(patterns):
        if place not in places.values():
            taken = next(patterns[i] for name, i in places.items() if matches(pattern, name))
            fail(function, argument, f"ordered with {pattern!r} before {taken!r}, which takes its leaves",
                 f" {', '.join(map(repr, patterns))}")  # fmt: skip
    left = [name for name, place in places.items() if place < 0]
    if complete and left:
        fail(function, argument, f"patterns that mean every leaf, {', '.join(left)} too",
             f" {', '.join(map(repr, patterns))}")  # fmt: skip


def check_table(function: str, argument: str, table: Any, example: str) -> None:
    """A mapping from patterns to something."""
    if not isinstance(table, Mapping) or not all(isinstance(name, str) for name in table):
        fail(function, argument, f"a mapping from path patterns, such as {example}", table)

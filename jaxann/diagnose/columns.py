"""The columns of the inputs, one by one or in groups: which numbers of an example are exchanged together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxann.core.checks import fail
from jaxann.core.typing import Array, Inputs

__all__ = ["Columns", "exchanged", "read_columns"]


class Columns(NamedTuple):
    """Names of columns or groups, and the columns of each: bool `(names, columns)`, every column in one of them."""

    names: tuple[str, ...]
    members: np.ndarray


def read_columns(function: str, x: Inputs, groups: Any) -> Columns:
    """The entries of the last axis of every array of x; of an array without features, itself.

    Args:
        function: for the message.
        x: checked inputs.
        groups: sequences of column numbers, or a dict of them by name; None for each column by itself.

    Raises:
        InputError: groups hold no column, one that x has not, or a column twice or not at all.
    """
    names = _names(x)
    if groups is None:
        return Columns(names, np.eye(len(names), dtype=bool))
    if not isinstance(groups, Mapping | Sequence) or isinstance(groups, str) or not len(groups):
        fail(function, "groups", "sequences of column numbers, or a dict of them by name", groups)
    named = dict(groups) if isinstance(groups, Mapping) else {f"group {i}": one for i, one in enumerate(groups)}
    members = np.zeros((len(named), len(names)), bool)
    for row, (name, one) in enumerate(named.items()):
        place = f"groups[{name!r}]" if isinstance(groups, Mapping) else f"groups[{row}]"
        try:
            numbers: Any = np.asarray(one)
        except ValueError:
            numbers = np.zeros(0)
        if numbers.ndim != 1 or not numbers.size or numbers.dtype.kind not in "iu":
            fail(function, place, "at least one column number", one)
        if numbers.min() < 0 or numbers.max() >= len(names):
            wrong = numbers.min() if numbers.min() < 0 else numbers.max()
            fail(function, place, f"column numbers in 0..{len(names) - 1}", f" {wrong}")
        members[row, numbers] = True
    count = members.sum(0)
    if (count != 1).any():
        column = int(np.flatnonzero(count != 1)[0])
        told = "in none" if count[column] == 0 else f"in {count[column]}"
        fail(function, "groups", "such that each column is in one of them", f" {names[column]} {told}")
    return Columns(tuple(map(str, named)), members)


def _names(x: Inputs) -> tuple[str, ...]:
    """`column 0` of one array; `top[0]` of a tree, `town` for an array that is a column by itself."""
    if hasattr(x, "shape"):
        return tuple(f"column {j}" for j in range(x.shape[-1]))
    found = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(x)[0]:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        count = _count(leaf)
        found += [name] if count == 1 else [f"{name}[{j}]" for j in range(count)]
    return tuple(found)


def _count(leaf: Any) -> int:
    return leaf.shape[-1] if leaf.ndim > 1 else 1


def exchanged(taken: Array, x: Inputs, other: Inputs) -> Inputs:
    """Columns of x, those that are taken from another one: `(examples, ...)` arrays of the same or of one example.

    Args:
        taken: bool `(columns,)`, in the order of `Columns`.
        x, other: trees of the same structure.
    """
    leaves, structure = jax.tree.flatten(x)
    found, first = [], 0
    for leaf, new in zip(leaves, jax.tree.leaves(other), strict=True):
        own = taken[first : first + _count(leaf)]
        first += _count(leaf)
        axes = (1,) * (leaf.ndim - 1)
        found.append(jnp.where(own.reshape(*axes, -1) if leaf.ndim > 1 else own, new, leaf))
    return jax.tree.unflatten(structure, found)

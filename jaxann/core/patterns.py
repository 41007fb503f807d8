"""Which leaves of a tree are meant: path patterns, matched here and nowhere else.

A pattern is matched against a leaf's dotted name and against the names of the branches above it, letter for letter but
for `*` (any text, dots too), `?` (one character) and `[...]`: "conv*" is conv1.weight and conv2.bias, "*.bias" every
bias, "encoder" everything below encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from jaxann.core.checks import fail
from jaxann.core.tables import named_functions
from jaxann.core.trees import flatten_named, map_named
from jaxann.core.typing import Array

__all__ = ["Selection", "check_patterns", "chosen", "matches", "matrices", "selector"]

Selection = str | tuple[str, ...] | Callable[[str, Array], bool] | None


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern means the leaf of this dotted name."""
    words = name.split(".")
    return any(fnmatchcase(".".join(words[:size]), pattern) for size in range(1, len(words) + 1))


def matrices(name: str, leaf: Array) -> bool:
    """Whether a leaf is a weight matrix or kernel: two axes or more, and no bias, scale or slope by name."""
    return leaf.ndim >= 2 and name.rpartition(".")[2] not in ("bias", "scale", "alpha")


def selector(function: str, argument: str, selection: Any) -> Callable[[str, Array], bool]:
    """A selection as a rule `(name, leaf) -> bool`.

    Args:
        function, argument: names for the message.
        selection: a pattern, several of them (a leaf that matches one is meant), such a rule itself, or None for all.

    Raises:
        InputError: it is none of these.
    """
    if selection is None:
        return lambda name, leaf: True
    if isinstance(selection, str):
        selection = (selection,)
    if isinstance(selection, tuple | list) and all(isinstance(pattern, str) for pattern in selection):
        patterns = tuple(selection)
        return lambda name, leaf: any(matches(pattern, name) for pattern in patterns)
    if not callable(selection):
        fail(function, argument, 'a path pattern such as "conv*", several, a function (name, leaf) -> bool, or None',
             selection)  # fmt: skip
    return lambda name, leaf: bool(selection(name, leaf))


def chosen(function: str, argument: str, selection: Any, tree: Any) -> Any:
    """The tree with True at the leaves that are meant and False at the others.

    Raises:
        InputError: patterns that mean no leaf at all; the message lists the names there are.
    """
    rule = selector(function, argument, selection)
    flags = map_named(rule, tree)
    if isinstance(selection, str | tuple | list) and selection and not any(flatten_named(flags).values()):
        check_patterns(function, argument, [selection] if isinstance(selection, str) else selection, tree)
    return flags


def check_patterns(function: str, argument: str, patterns: Iterable[str], tree: Any) -> None:
    """Every pattern means a leaf of the tree.

    Raises:
        InputError: one does not; the message lists the names there are.
    """
    names = list(flatten_named(tree))
    for pattern in patterns:
        if not any(matches(pattern, name) for name in names):
            fail(function, argument, f"a pattern of one of {', '.join(names)}", pattern)


named_functions(matrices)

"""Data that may be part of a program: shapes are always looked at, values where they are known.

A value is known unless it is traced. Where all of them are, data are checked as `fit` checks them; beside traced ones
every array that is none of JAX's is still read as it stands, before a program's narrower types could change it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxann.core.checks import fail
from jaxann.core.tracing import is_inside
from jaxann.train.batches import Batch, default_float
from jaxann.train.inputs import as_array, as_batch, as_weights, is_one_array, known_array, named_leaves

__all__ = ["in_program", "shaped_batch", "traced_inputs"]


def in_program(weights: Any, data: Any) -> bool:
    """Whether the call is part of a program: something given is traced, or what a layer refers to may be."""
    if is_inside():
        return True
    try:
        leaves = (*jax.tree.leaves(weights), *jax.tree.leaves(data, is_leaf=is_one_array))
    except ValueError:  # of keys that cannot be sorted, which the checks tell
        return False
    return any(isinstance(leaf, Tracer) for leaf in leaves)


def traced_inputs(function: str, x: Any) -> Any:
    """x inside a program: its shapes are looked at, what is traced has no values yet.

    Raises:
        InputError: one array without an axis of features; or as `known_array`.
    """
    x = _read(function, "x", x)
    if isinstance(x, jax.Array) and x.ndim < 2:
        fail(function, "x", "of shape (examples, ...features)", f" shape {x.shape}", hint="One example: x[None].")
    return jax.tree.map(lambda a: a.astype(default_float()) if a.dtype.kind == "f" else a, x)


def _read(function: str, argument: str, tree: Any) -> Any:
    """The tree with JAX's arrays for leaves."""
    leaves = [jnp.asarray(known_array(function, name, leaf)) for name, leaf in named_leaves(argument, tree)]
    return jax.tree.unflatten(jax.tree.structure(tree, is_leaf=is_one_array), leaves)


def shaped_batch(function: str, argument: str, data: Any) -> Batch:
    """`(x, y, weights)` inside a program or outside: shapes that fit, and values that `fit` takes where all are known.

    Raises:
        InputError: data are no pair or triple, or shapes do not fit together; as `as_batch` where nothing is traced,
            else as `fit` checks what is not.
    """
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        fail(function, argument, "a tuple (x, y) or (x, y, weights)", data)
    if not in_program(None, tuple(data)):
        return as_batch(function, argument, data)
    x, y, weights = (*data, None) if len(data) == 2 else data
    x, y = (_known_checked(function, f"{argument} {name}", tree) for name, tree in (("x", x), ("y", y)))
    named = named_leaves(f"{argument} x", x)
    for name, leaf in [*named, *named_leaves(f"{argument} y", y)]:
        alone = name == f"{argument} x"
        if leaf.ndim < 1 + alone:
            hint = "For one feature: x.reshape(-1, 1)." if alone else None
            expected = "of shape (examples, ...features)" if alone else "of shape (examples, ...)"
            fail(function, name, expected, f" shape {leaf.shape}", hint=hint)
        if leaf.shape[0] != named[0][1].shape[0]:
            fail(function, name, f"as long as x ({named[0][1].shape[0]} rows)", f" {leaf.shape[0]} rows")
        if name.startswith(f"{argument} x") and leaf.size == 0:
            fail(function, name, "of at least one row and one feature", f" shape {leaf.shape}")
    return Batch(x, y, as_weights(function, f"{argument} weights", weights, named[0][1].shape[0]))


def _known_checked(function: str, argument: str, tree: Any) -> Any:
    """The tree with its known arrays checked and the traced ones as they are."""
    leaves = [
        leaf if isinstance(leaf, Tracer) or name.endswith(".mask") else as_array(function, name, leaf, features=False)
        for name, leaf in named_leaves(argument, tree)
    ]
    return jax.tree.unflatten(jax.tree.structure(tree, is_leaf=is_one_array), leaves)

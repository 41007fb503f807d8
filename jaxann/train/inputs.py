"""Checks of the values a person hands in, once, on the host, before anything is compiled.

x and y are arrays, or trees of them (dicts, named tuples, `Padded`) whose leading axis is the examples; a list is read
as an array. Every refusal names the argument down to the leaf (`train x['tokens']`), what was given and what is
expected. Nothing is changed in place.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxann.core.checks import check_int32, check_unmasked, check_untraced, fail
from jaxann.core.held import held_as
from jaxann.core.padding import Padded
from jaxann.core.reading import read_array
from jaxann.train.batches import Batch, default_float

__all__ = [
    "as_array",
    "as_batch",
    "as_inputs",
    "as_weights",
    "check_present",
    "is_one_array",
    "known_array",
    "named_leaves",
    "refuse_tree",
]

_LARGEST = 1e18  # squares of anything greater overflow float32


def as_array(
    function: str, argument: str, value: Any, *, features: bool, missing: bool = False
) -> jax.Array | np.ndarray:
    """A checked array of a dtype a program can take: float32 (float64 under x64), bfloat16, int32 or bool.

    Args:
        function, argument: for the message.
        value: array, nested list, or anything numpy can read (a DataFrame of numbers).
        features: whether it is x, which needs an axis of features.
        missing: whether NaN is let pass.

    Raises:
        InputError: None, a path, text, ragged rows, complex or sparse data, NaN or infinity, numbers too large for
            float32, or too few axes.
    """
    if isinstance(value, Tracer):
        check_untraced(function, argument, value)
    array = _numbers(function, argument, value)
    if array.ndim < (2 if features else 1):
        hint = "One feature: x.reshape(-1, 1); one example: x.reshape(1, -1)." if features and array.ndim == 1 else None
        expected = "of shape (examples, ...features)" if features else "of shape (examples, ...)"
        fail(function, argument, expected, f" shape {array.shape}", hint=hint)
    if not _seen(array) and _check_values(function, argument, array, missing):
        _remember(array)
    return _as_programs_take(array)


def check_present(function: str, argument: str, tree: Any) -> None:
    """No number of the arrays, checked but for that, is missing.

    Raises:
        InputError: one is NaN.
    """
    for name, leaf in named_leaves(argument, tree):
        if not _seen(leaf) and np.dtype(leaf.dtype).kind != "b":
            _check_values(function, name, leaf, False)


def known_array(function: str, argument: str, value: Any) -> jax.Array | np.ndarray:
    """An array inside a program: JAX's own and what is traced as they are, anything else with the values it has.

    Raises:
        InputError: there are no numbers in it, some are masked, or whole numbers are too large for int32.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(value)):
        return jnp.asarray(value)
    array = _numbers(function, argument, value)
    if isinstance(array, jax.Array):
        return array
    if array.dtype.kind == "c":
        fail(function, argument, "an array of real numbers", f" {array.dtype}")
    check_int32(function, argument, array)
    return _as_programs_take(array)


def _as_programs_take(array: Any) -> jax.Array | np.ndarray:
    """In a dtype a program can take."""
    kind = np.dtype(array.dtype).kind
    if kind == "V" and array.dtype.itemsize < 2:  # float8 and below, int4 and below
        return array.astype(np.float32 if jax.dtypes.issubdtype(array.dtype, np.floating) else np.int32)
    if kind == "f" and array.dtype != default_float() and array.dtype.itemsize > 2:
        return array.astype(default_float())
    if kind == "f" and array.dtype.itemsize <= 2:
        return array.astype(np.float32)
    if kind in "iu":
        return array.astype(np.int32) if array.dtype != np.int32 else array
    return array


def _numbers(function: str, argument: str, value: Any) -> jax.Array | np.ndarray:
    """An array of numbers, where it is."""
    if value is None:
        fail(function, argument, "an array", None)
    check_unmasked(function, argument, value)
    if hasattr(value, "toarray"):
        size = f"{np.prod(value.shape) * 4:,} bytes"
        got = f" a sparse one of shape {value.shape}"
        fail(function, argument, "a dense array", got, hint=f"x.toarray() takes {size}.")
    if not isinstance(value, jax.Array) or jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return read_array(function, argument, value)
    if value.is_deleted():
        hint = "Its memory was given to another program (donate_argnums)."
        fail(function, argument, "an array", " one that was deleted", hint=hint)
    return value


_SEEN: dict[int, weakref.ref] = {}


def _seen(array: Any) -> bool:
    """Whether this very jax array was checked before. It cannot have changed since; a numpy array can."""
    known = _SEEN.get(id(array))
    return known is not None and known() is array


def _remember(array: Any) -> None:
    if isinstance(array, jax.Array):
        place = id(array)
        _SEEN[place] = weakref.ref(array, lambda _: _SEEN.pop(place, None))


def _check_values(function: str, argument: str, array: Any, missing: bool) -> bool:
    """Whether all numbers are there; refused is what no program takes, and NaN where none may be missing."""
    if jax.dtypes.issubdtype(array.dtype, np.complexfloating):
        fail(function, argument, "an array of real numbers", f" {array.dtype}")
    if not jax.dtypes.issubdtype(array.dtype, np.floating):
        check_int32(function, argument, array)
        return True
    host = np.asarray(array)
    if _all_small(host):
        return True
    there = ~np.isnan(host) if missing else np.ones((), bool)
    if not there.all():
        host = np.where(there, host, np.zeros((), host.dtype))
    finite = np.isfinite(host.astype(np.float64) if host.dtype.itemsize == 2 else host)
    if not finite.all():
        place = _place(np.argwhere(~finite)[0])
        what = f" {(~finite).sum()} of {host.size} not finite, the first at {place}"
        fail(function, argument, "finite", what)
    with np.errstate(over="ignore"):  # of longer numbers
        size = np.abs(host.astype(np.float64, copy=False))
    if size.size and size.max() > _LARGEST:
        place = _place(np.unravel_index(int(size.argmax()), size.shape))
        got = f" {size.max():.3g} at {place}"
        fail(function, argument, f"of numbers up to {_LARGEST:g}", got, hint="Standardize the data first.")
    return bool(there.all())


def _all_small(host: np.ndarray) -> bool:
    """Whether every number is finite and within the limit, in one pass over the data and without a copy.

    A sum of squares that is finite and small enough holds neither NaN nor infinity nor a large number.
    """
    if host.dtype in (np.float32, np.float64) and host.flags.c_contiguous:
        flat = host.reshape(-1)
        return bool(np.vdot(flat, flat) <= _LARGEST**2)
    return host.size == 0 or (float(host.max()) <= _LARGEST and float(host.min()) >= -_LARGEST)


def _place(index: Any) -> str:
    """`row 2, column 1` from an index of an array."""
    row, *rest = (int(i) for i in index)
    return f"row {row}" + (f", column {', '.join(map(str, rest))}" if rest else "")


def named_leaves(argument: str, tree: Any) -> list[tuple[str, Any]]:
    """The leaves of x or y with their names in messages, such as `train x['tokens']`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_one_array)
    return [(argument + jax.tree_util.keystr(path), leaf) for path, leaf in leaves]


def is_one_array(value: Any) -> bool:
    """Whether a value is one array (or something to be read as one), and no tree of several."""
    if isinstance(value, Mapping) or hasattr(value, "_fields"):
        return len(value) == 0
    return not (isinstance(value, tuple) and any(np.ndim(one) > 0 for one in value if hasattr(one, "dtype")))


def as_inputs(function: str, argument: str, value: Any, *, features: bool, missing: bool = False) -> Any:
    """x or y checked: an array, or the same tree of checked arrays, all of one length.

    Args:
        function, argument: for the message.
        value: an array or a tree of arrays; several arrays need no axis of features each.
        features: whether it is x, which needs an axis of features where it is one array.
        missing: whether NaN is let pass.

    Raises:
        InputError: as `as_array`, for the leaf; or there is none, or lengths differ.
    """
    try:
        named = named_leaves(argument, value)
    except ValueError:  # JAX sorts them
        fail(function, argument, "an array, or a tree with names for keys", " keys of several types")
    if not named or (isinstance(value, Mapping | tuple) and len(value) == 0):
        fail(function, argument, "an array, or a tree with at least one", value)
    for name, leaf in named:
        if isinstance(leaf, Mapping | tuple) and len(leaf) == 0:
            fail(function, name, "an array", leaf)
    alone = len(named) == 1 and named[0][0] == argument
    leaves = [
        _mask(function, name, leaf)
        if name.endswith(".mask") and np.asarray(leaf).dtype == bool
        else as_array(function, name, leaf, features=features and alone, missing=missing)
        for name, leaf in named
    ]
    rows = leaves[0].shape[0]
    for (name, _), leaf in zip(named, leaves, strict=True):
        if leaf.shape[0] != rows:
            fail(function, name, f"as long as {named[0][0]} ({rows} rows)", f" {leaf.shape[0]} rows")
    structure = jax.tree.structure(value, is_leaf=is_one_array)
    checked = jax.tree.unflatten(structure, leaves)
    for node in jax.tree.leaves(checked, is_leaf=lambda node: isinstance(node, Padded)):
        if isinstance(node, Padded) and node.mask.shape != node.values.shape[:2]:
            expected = f"of the values' shape {node.values.shape[:2]}"
            fail(function, f"the mask of {argument}", expected, f" shape {node.mask.shape}")
    return checked


def _mask(function: str, name: str, leaf: Any) -> Any:
    if np.ndim(leaf) != 2:
        fail(function, name, "of shape (examples, time)", f" shape {np.shape(leaf)}")
    return leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)


def refuse_tree(function: str, argument: str, x: Any, error: Exception) -> None:
    """Say of several inputs that the model takes no such, where all it did was to fail; one array is left alone."""
    if hasattr(x, "shape"):
        return
    hint = f"The model fails on it: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    shown = ", ".join(name.removeprefix("x") for name, _ in named_leaves("x", x))
    fail(function, argument, "what the model takes", f" a tree of {shown}", hint=hint)


def as_batch(function: str, argument: str, data: Any) -> Batch:
    """`(x, y, weights)` checked, weights None where there are none. Numbers of x may be missing: see `check_present`.

    Raises:
        InputError: as `as_inputs`; or lengths differ, there are no rows or features, a weight is negative, or all of
            them are 0.
    """
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        fail(function, argument, "a tuple (x, y) or (x, y, weights)", data)
    x = as_inputs(function, f"{argument} x", data[0], features=True, missing=True)
    y = as_inputs(function, f"{argument} y", data[1], features=False)
    rows = jax.tree.leaves(x)[0].shape[0]
    for name, leaf in named_leaves(f"{argument} y", y):
        if leaf.shape[0] != rows:
            fail(function, name, f"as long as x ({rows} rows)", f" {leaf.shape[0]} rows")
    for name, leaf in named_leaves(f"{argument} x", x):
        if rows == 0 or leaf.size == 0:
            fail(function, name, "of at least one row and one feature", f" shape {leaf.shape}")
    return Batch(x, y, as_weights(function, f"{argument} weights", data[2] if len(data) == 3 else None, rows))


def as_weights(function: str, argument: str, weights: Any, rows: int) -> Any:
    """Weights of that many examples, or of their values, in the default float; None for none. Traced ones by shape.

    Raises:
        InputError: shapes do not fit, a weight is negative or not finite, or all of them are 0.
    """
    if weights is None:
        return None
    known = not isinstance(weights, Tracer)
    if known:
        weights = as_array(function, argument, weights, features=False)
    if weights.shape[:1] != (rows,):
        got = f" shape {weights.shape}"
        fail(function, argument, f"of shape ({rows},), one an example, or one for each value", got)
    if known:
        host = np.asarray(weights)
        if (host < 0).any():
            place = np.argwhere(host < 0)[0]
            fail(function, argument, "at least 0", f" {host[tuple(place)]:g} at {_place(place)}")
        if not held_as(host).any():
            fail(function, argument, "positive somewhere", " only zeros, and numbers that are 0 in a program")
    return weights.astype(default_float())
